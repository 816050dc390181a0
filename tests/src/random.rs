//! Moments and choices that an earlier run can be given again.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: good enough for moments and choices.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with the number in `CSE_TEST_SEED`, else with another one each time; says which.
    ///
    /// # Panics
    /// If it is before 1970.
    pub fn from_environment() -> Self {
        let given = std::env::var("CSE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let seed = given.unwrap_or(u64::from(time.subsec_nanos()));
        println!("CSE_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number from 0 to before `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
