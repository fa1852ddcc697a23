//! Hosts as they are named on the command line.

use std::sync::Arc;

use crate::snapshot::MOST_HOSTS;

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// What `ssh` is given: `[user@]host`, a name of the user's ssh config, or `ssh://[user@]host[:port]`.
    pub ssh: String,
    /// What it is called here: the host, or all of it where two would have the same name.
    pub name: Arc<str>,
}

/// The longest name: a user and a host of the Domain Name System.
const MOST_BYTES: usize = 320;

/// The hosts of `--host`.
///
/// # Errors
/// One sentence that names the host that is wrong.
pub fn destinations(names: &[String]) -> Result<Vec<Destination>, String> {
    if names.len() > MOST_HOSTS {
        return Err(format!("{} hosts are named; at most {MOST_HOSTS} are shown", names.len()));
    }
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err("a host has no name".to_owned());
        }
        // OpenSSH would take it as an option.
        if name.starts_with('-') || name.len() > MOST_BYTES || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("{name:?} is not the name of a host"));
        }
        if names[..at].contains(name) {
            return Err(format!("{name} is named twice"));
        }
    }
    let short: Vec<&str> = names.iter().map(|name| short(name)).collect();
    let is_alone = |at: usize| short.iter().filter(|other| **other == short[at]).count() == 1;
    let name = |at: usize| if is_alone(at) { short[at] } else { names[at].as_str() };
    Ok((0..names.len()).map(|at| Destination { ssh: names[at].clone(), name: name(at).into() }).collect())
}

fn short(name: &str) -> &str {
    let host = name.strip_prefix("ssh://").unwrap_or(name);
    let host = host.rsplit('@').next().unwrap_or(host);
    if host.is_empty() { name } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(named: &[&str]) -> Result<Vec<String>, String> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        Ok(destinations(&named)?.iter().map(|host| host.name.to_string()).collect())
    }

    #[test]
    fn hosts_are_called_by_their_names_without_user() {
        assert_eq!(names(&["me@box", "box2", "ssh://x@far:22"]).unwrap(), ["box", "box2", "far:22"]);
        assert_eq!(names(&["a@box", "b@box", "c"]).unwrap(), ["a@box", "b@box", "c"], "two of a name keep their users");
    }

    #[test]
    fn no_option_of_ssh_comes_from_a_name() {
        for wrong in ["-oProxyCommand=true", "", "a b", "a\nb"] {
            assert!(names(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(names(&["box", "box"]).unwrap_err().contains("twice"));
    }
}
