//! The hash of an id and the shard that the hash selects.

use std::fmt;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};

/// The default seed. Fixed, so that an id is in the same shard in every process.
pub(crate) const DEFAULT_SEED: u64 = 0x7265_6769_7374_7279;

/// The maximum number of shards: the bits that select the shard must not overlap those that a map uses.
pub(crate) const MAX_SHARDS: usize = 1 << (SHARD_BITS_END - SHARD_BITS_START);

/// Bits 40 to 51 select the shard. Maps take the slot of an entry from the low bits of its hash, and a tag that saves
/// comparisons from the top bits; if either selected the shard too, they would be alike in all entries of a shard.
const SHARD_BITS_START: u32 = 40;
const SHARD_BITS_END: u32 = 52;

/// The hash function and the number of shards.
///
/// The hash is rapidhash v3 nano. For the same seed it is the same on every platform and in every process, and it is
/// the fastest of its family for up to 48 bytes, which includes every UUID.
/// Its final mixing step adds the latency of a multiplication to every lookup. It is kept, because without it, as in
/// the family's own hasher for maps, UUIDs that differ at one end are distributed unevenly over the slots of a map (see
/// the tests).
pub(crate) struct Partition {
    secrets: RapidSecrets,
    mask: usize,
}

impl Partition {
    /// `shards` must be a power of two from 1 to [`MAX_SHARDS`].
    pub(crate) fn new(shards: usize, seed: u64) -> Self {
        debug_assert!(shards.is_power_of_two() && shards <= MAX_SHARDS);
        Self { secrets: RapidSecrets::seed(seed), mask: shards - 1 }
    }

    /// Returns the hash of an id: 64 uniform bits.
    #[inline]
    pub(crate) fn hash(&self, id: &[u8]) -> u64 {
        rapidhash_v3_nano_inline::<true, false>(id, &self.secrets)
    }

    /// Returns the shard that a hash selects.
    #[inline]
    pub(crate) fn shard(&self, hash: u64) -> usize {
        (hash >> SHARD_BITS_START) as usize & self.mask
    }

    pub(crate) fn shards(&self) -> usize {
        self.mask + 1
    }
}

impl fmt::Debug for Partition {
    /// Omits the seed: knowing it allows choosing ids that all fall into one shard.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("shards", &self.shards()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        let partition = Partition::new(64, DEFAULT_SEED);
        let locations = ["a", "tools/search", "018f3a2e-7b4c-7def-8a91-2b3c4d5e6f70"].map(|id| {
            let hash = partition.hash(id.as_bytes());
            (hash, partition.shard(hash))
        });
        // Recorded once. A change moves every id of every user to another shard: it is a breaking change.
        assert_eq!(locations, RECORDED);
    }

    const RECORDED: [(u64, usize); 3] =
        [(12_704_755_567_503_374_552, 27), (12_068_267_265_613_684_669, 25), (11_410_701_818_420_575_592, 52)];

    #[test]
    fn another_seed_selects_other_shards() {
        let (one, two) = (Partition::new(4096, 1), Partition::new(4096, 2));
        let same = (0..10_000)
            .map(|i| format!("id-{i}"))
            .filter(|id| one.shard(one.hash(id.as_bytes())) == two.shard(two.hash(id.as_bytes())))
            .count();
        assert!(same < 50, "{same} of 10,000 ids are in the same shard; by chance it would be 2 to 3");
    }

    /// Returns chi-square per degree of freedom of the values that `bits` takes from the hashes of `ids`.
    fn unevenness(ids: &[String], values: usize, bits: impl Fn(u64) -> usize) -> f64 {
        let partition = Partition::new(1, DEFAULT_SEED);
        let mut seen = vec![0_f64; values];
        for id in ids {
            seen[bits(partition.hash(id.as_bytes())) % values] += 1.0;
        }
        let expected = ids.len() as f64 / values as f64;
        seen.iter().map(|seen| (seen - expected).powi(2) / expected).sum::<f64>() / (values - 1) as f64
    }

    #[test]
    fn ids_of_every_form_are_uniform_over_shards_slots_and_tags() {
        type Form = fn(usize) -> String;
        let forms: [(&str, Form); 6] = [
            ("numbers", |i| i.to_string()),
            ("padded numbers", |i| format!("{i:08}")),
            ("a word and a number", |i| format!("server-{i}")),
            ("paths", |i| format!("tenants/{}/tools/{}", i / 100, i % 100)),
            ("UUIDs that differ at one end", |i| format!("018f3a2e-7b4c-7def-8a91-{i:012x}")),
            ("long names", |i| format!("{i}{}", "x".repeat(80))),
        ];
        for (form, id) in forms {
            let ids: Vec<String> = (0..200_000).map(id).collect();
            let shards = unevenness(&ids, 64, |hash| (hash >> SHARD_BITS_START) as usize);
            let all_shards = unevenness(&ids, MAX_SHARDS, |hash| (hash >> SHARD_BITS_START) as usize);
            let slots = unevenness(&ids, 4096, |hash| hash as usize);
            let tags = unevenness(&ids, 128, |hash| (hash >> 57) as usize);
            // 99.99 % of random distributions are below 1.8 for 64 values, 1.5 for 128, and 1.09 for 4096.
            for (name, found, bound) in [
                ("shards", shards, 1.8),
                ("all shards", all_shards, 1.09),
                ("slots", slots, 1.09),
                ("tags", tags, 1.55),
            ] {
                assert!(found < bound, "{form}: {name} are not uniform, {found:.3}");
            }
        }
    }

    #[test]
    fn every_shard_is_used_and_none_is_out_of_range() {
        for shards in [1, 2, 64, MAX_SHARDS] {
            let partition = Partition::new(shards, DEFAULT_SEED);
            let mut seen = vec![false; shards];
            for i in 0..shards * 32 {
                seen[partition.shard(partition.hash(format!("id-{i}").as_bytes()))] = true;
            }
            assert!(seen.iter().all(|seen| *seen), "{shards} shards");
        }
    }
}
