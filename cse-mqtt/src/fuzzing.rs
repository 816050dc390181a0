//! What the fuzz targets of `fuzz/` assert about topics, rights to them, packets and the broker. Each input they keep is replayed by
//! the tests of this crate, so that what was found once is never found again.
//!
//! Only there with the feature `fuzzing`; no part of the interface.

mod topics;

pub use crate::broker::fuzzing::{conversation, packets};
pub use crate::external::fuzzing::server_packets;
pub use crate::security::fuzzing::rights;
pub use topics::topics;

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(target: &str, check: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut inputs = 0;
        for entry in std::fs::read_dir(&corpus).expect("the corpus is checked in") {
            let path = entry.expect("a readable directory").path();
            let bytes = std::fs::read(&path).expect("a readable file");
            // The name of the input, if it fails.
            println!("{}", path.display());
            check(&bytes);
            inputs += 1;
        }
        assert!(inputs > 0, "no input in {}", corpus.display());
    }

    #[test]
    fn packets_that_were_fuzzed() {
        replay("packets", super::packets);
    }

    #[test]
    fn conversations_that_were_fuzzed() {
        replay("conversation", super::conversation);
    }

    #[test]
    fn server_packets_that_were_fuzzed() {
        replay("server_packets", super::server_packets);
    }

    #[test]
    fn rights_that_were_fuzzed() {
        replay("rights", super::rights);
    }

    #[test]
    fn topics_that_were_fuzzed() {
        replay("topics", super::topics);
    }
}
