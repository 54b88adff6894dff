//! Chance for tests: seeded, so that what failed once fails again.

/// SplitMix64: small, and uniform enough to stand for chance.
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform from 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many balls fall into each of so many boxes.
    pub(crate) fn throw(&mut self, balls: usize, boxes: usize) -> Vec<usize> {
        let mut counts = vec![0; boxes];
        for _ in 0..balls {
            counts[(self.next() % boxes as u64) as usize] += 1;
        }
        counts
    }

    /// How many of many rare events happen, if it is so many on average.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let mut product = self.unit();
        let mut count = 0;
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// A Zipf distribution over so many numbers.
    pub(crate) fn zipf(&self, numbers: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=numbers).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Zipf(sums.collect())
    }
}

/// Numbers from 0 on, the earlier the more often.
pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    pub(crate) fn pick(&self, chance: &mut SplitMix64) -> u64 {
        let at = chance.unit() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|&sum| sum <= at) as u64
    }
}
