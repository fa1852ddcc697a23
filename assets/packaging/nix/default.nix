# Builds concmon with Nix: `nix-build assets/packaging/nix`.
{
  pkgs ? import <nixpkgs> { },
}:
pkgs.rustPlatform.buildRustPackage {
  pname = "concmon";
  version = "0.1.0";
  src = pkgs.lib.cleanSource ../../..;
  cargoLock.lockFile = ../../../Cargo.lock;
  nativeBuildInputs = [ pkgs.installShellFiles ];

  # The tests watch live processes and open terminals, which the build sandbox does not have.
  doCheck = false;

  postInstall = ''
    mkdir man
    $out/bin/concmon generate man man
    installManPage man/*.1
    for shell in bash fish zsh; do
      $out/bin/concmon generate completions $shell > completion.$shell
      installShellCompletion --cmd concmon --$shell completion.$shell
    done
    install -Dm644 -t $out/share/applications assets/packaging/concmon.desktop
    install -Dm644 -t $out/share/icons/hicolor/scalable/apps assets/packaging/concmon.svg
  '';

  meta = {
    description = "Monitor of processes and threads for people who write concurrent code";
    license = pkgs.lib.licenses.mit;
    platforms = pkgs.lib.platforms.linux;
    mainProgram = "concmon";
  };
}
