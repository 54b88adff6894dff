//! The versions of crates, from the lock file of the workspace.

/// The lock file at build time.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Returns the version of a crate; `None` if it is not in the lock file.
#[must_use]
pub fn of(name: &str) -> Option<&'static str> {
    find(LOCK, name)
}

fn find<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let field = |line: &'a str, field: &str| line.strip_prefix(field)?.strip_prefix(" = \"")?.strip_suffix('"');
    let mut lines = lock.lines();
    lines.find(|line| field(line, "name") == Some(name))?;
    field(lines.next()?, "version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_version() {
        for name in ["dashmap", "evmap", "kameo", "papaya", "ractor", "registry-router", "scc"] {
            let version = of(name).unwrap_or_else(|| panic!("no version of {name}"));
            assert!(version.split('.').count() == 3, "{name} {version}");
        }
        assert_eq!(of("nope"), None);
    }

    #[test]
    fn a_name_must_match_as_a_whole() {
        let lock =
            "[[package]]\nname = \"abc\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"ab\"\nversion = \"4.5.6\"\n";
        assert_eq!((find(lock, "ab"), find(lock, "a")), (Some("4.5.6"), None));
    }
}
