# Commands of the repository; `just` lists them. Each line also works without just.

default:
    @just --list

# Run the monitor (release build)
run *ARGS:
    cargo run --release -- {{ARGS}}

# Run all tests, or those that match
test *ARGS:
    cargo test {{ARGS}}

# Run everything that a change must pass
ci:
    .ci/run

# Write the expected frames again; read the difference afterwards
golden:
    UPDATE_GOLDEN=1 cargo test --test pure golden
    git diff --stat tests/golden

# Write the generated tables in docs/, ARCHITECTURE.md and config.example.toml again
readme:
    UPDATE_DOCS=1 cargo test --test pure -- registries architecture

# Run a benchmark: sampling, stages, creation or monitors
bench NAME="stages":
    cargo bench --bench {{NAME}}

# Fuzz one target for some seconds (needs cargo-fuzz and a nightly compiler)
fuzz TARGET="stat" SECONDS="600":
    cd fuzz && cargo +nightly fuzz run -s none {{TARGET}} corpus/{{TARGET}} seeds/{{TARGET}} -- -max_total_time={{SECONDS}}

# Draw the pictures in assets/tour/ again, from real runs
pictures:
    cargo bench --bench pictures

# Build and open the documentation of the code
docs:
    cargo doc --no-deps --open

# Print 20 random sentences that users see
sentences SEED="1":
    @SENTENCES_SEED={{SEED}} cargo test --quiet --test pure sentences -- --ignored --nocapture
