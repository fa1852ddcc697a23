//! Derives the container from the path of a control group, by the naming schemes of container engines.

/// Engine and container of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Container<'a> {
    /// Who made it.
    pub engine: &'static str,
    /// Its id, hexadecimal, or its name.
    pub id: &'a str,
}

/// What stands before the id in the names of scopes, and whose it is.
const SCOPES: [(&str, &str); 7] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
    ("machine-", "machine"),
    ("nerdctl-", "nerdctl"),
    ("lxc.payload.", "lxc"),
];

/// Directories whose children are containers.
const PARENTS: [(&str, &str); 4] = [("docker", "docker"), ("lxc", "lxc"), ("lxc.payload", "lxc"), ("libpod_parent", "podman")];

/// The innermost container that a path in the hierarchy names; `None` if it names none. What is within a control group namespace of
/// its own sees a path without the part that would tell.
#[must_use]
pub fn container_of(path: &str) -> Option<Container<'_>> {
    let (mut found, mut before, mut in_pods) = (None, "", false);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let scope = name.strip_suffix(".scope").unwrap_or(name);
        let named = SCOPES.iter().find_map(|(begin, engine)| Some((*engine, scope.strip_prefix(begin)?)));
        let below = PARENTS.iter().find(|(parent, _)| *parent == before).map(|(_, engine)| (*engine, scope));
        let in_pod = (in_pods && is_id(scope)).then_some(("kubernetes", scope));
        if let Some((engine, id)) = named.or(below).or(in_pod).filter(|(_, id)| !id.is_empty()) {
            // Podman's conmon watches a container from outside, in a scope named nearly alike.
            found = if id.starts_with("conmon-") { None } else { Some(Container { engine, id }) };
        }
        in_pods |= name.starts_with("kubepods");
        before = name;
    }
    found
}

/// Ids of containers are 256 bits in hexadecimal.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Container<'_> {
    /// `docker 0123456789ab`: an id is cut as the engines' own lists cut it, a name is whole.
    #[must_use]
    pub fn words(&self) -> String {
        let id = if is_id(self.id) { self.id.get(..12).unwrap_or(self.id) } else { self.id };
        format!("{} {id}", self.engine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_the_paths_of_the_engines() {
        let id = "0123456789abcdef".repeat(4);
        for (path, want) in [
            (format!("/system.slice/docker-{id}.scope"), Some("docker 0123456789ab")),
            (format!("/docker/{id}"), Some("docker 0123456789ab")),
            (format!("/docker/{id}/init.scope"), Some("docker 0123456789ab")),
            (format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"), Some("containerd 0123456789ab")),
            (format!("/kubepods/burstable/pod1-2/{id}"), Some("kubernetes 0123456789ab")),
            (format!("/user.slice/user-1000.slice/libpod-{id}.scope/container"), Some("podman 0123456789ab")),
            (format!("/user.slice/libpod-conmon-{id}.scope"), None),
            ("/machine.slice/machine-web.scope".into(), Some("machine web")),
            ("/lxc.payload.builder/system.slice/cron.service".into(), Some("lxc builder")),
            ("/lxc/builder".into(), Some("lxc builder")),
            ("/system.slice/docker.service".into(), None),
            ("/lxc.payload/builder/init.scope".into(), Some("lxc builder")),
            (format!("/user.slice/nerdctl-{id}.scope"), Some("nerdctl 0123456789ab")),
            (format!("/elsewhere/{id}"), None),
            ("/".into(), None),
            (String::new(), None),
            ("/docker-.scope".into(), None),
        ] {
            assert_eq!(container_of(&path).map(|c| c.words()).as_deref(), want, "{path}");
        }
    }
}
