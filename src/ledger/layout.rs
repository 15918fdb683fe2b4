//! Where an entry's file is in the tree. Pure arithmetic on names.
//!
//! git rewrites a directory's whole tree object, and its parents', at each commit. So the first entries are in one
//! flat directory that people can look at, and when it is full it is never written again; later ones are spread over
//! three levels of sixteen, where a commit rewrites a few kilobytes whatever the ledger's size.

use sha2::{Digest as _, Sha256};

use crate::entry::TaskId;

/// The ledger's directory.
pub const ROOT: &str = ".audit";
/// The flat directory.
pub const TASKS: &str = ".audit/tasks";
/// The root of the sharded directories.
pub const SHARDS: &str = ".audit/shards";
/// The policy file.
pub const CONFIG: &str = ".audit/config.toml";
/// How many entries the flat directory holds unless the policy says otherwise.
pub const DEFAULT_FLAT_LIMIT: u32 = 1000;

/// `.audit/tasks/<task_id>.json`
pub fn flat_path(task_id: &TaskId) -> String {
    format!("{TASKS}/{task_id}.json")
}

/// `.audit/shards/<a>/<b>/<c>`: the first three hex digits of the SHA-256 of the lower-cased id. Lower-cased, so that
/// ids which differ only in case meet in one directory, where the conflict is seen.
pub fn shard_directory(task_id: &TaskId) -> String {
    let [a, b, c] = shard_digits(task_id).map(char::from);
    format!("{SHARDS}/{a}/{b}/{c}")
}

fn shard_digits(task_id: &TaskId) -> [u8; 3] {
    let digest = Sha256::digest(task_id.as_str().to_ascii_lowercase());
    [digest[0] >> 4, digest[0] & 15, digest[1] >> 4].map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

/// `.audit/shards/<a>/<b>/<c>/<task_id>.json`
pub fn sharded_path(task_id: &TaskId) -> String {
    format!("{}/{task_id}.json", shard_directory(task_id))
}

/// The task id that a path of the ledger names; `None` for any other path.
pub fn task_id_of(path: &str) -> Option<TaskId> {
    let (directory, name) = path.rsplit_once('/')?;
    task_id_in(directory, name)
}

/// The task id that a file of this name stands for in this directory; `None` where it has no business there.
pub fn task_id_in(directory: &str, name: &str) -> Option<TaskId> {
    let task_id = TaskId::new(name.strip_suffix(".json")?).ok()?;
    let is_its_shard = || {
        let digits = directory.strip_prefix(SHARDS).map(str::as_bytes);
        digits.is_some_and(|digits| digits == shard_digits(&task_id).map(|digit| [b'/', digit]).concat())
    };
    (directory == TASKS || is_its_shard()).then_some(task_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_the_first_three_digits_of_the_lower_cased_id() {
        // printf task-1 | sha256sum: 7afaa346…
        let path = sharded_path(&TaskId::new("task-1").unwrap());
        assert_eq!(path, ".audit/shards/7/a/f/task-1.json");
        assert_eq!(shard_directory(&TaskId::new("TASK-1").unwrap()), ".audit/shards/7/a/f");
        assert_eq!(task_id_of(&path).unwrap().as_str(), "task-1");
        assert_eq!(task_id_of(".audit/shards/0/0/0/task-1.json"), None);
        assert_eq!(task_id_of(".audit/tasks/x/task-1.json"), None);
    }
}
