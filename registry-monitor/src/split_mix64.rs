//! Random numbers for tests, from a seed, so that a failure can be repeated.

/// The SplitMix64 generator.
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

    /// Returns a number that is uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Throws `balls` balls into `bins` bins and returns the number of balls in each.
    pub(crate) fn balls_into_bins(&mut self, balls: usize, bins: usize) -> Vec<usize> {
        let mut counts = vec![0; bins];
        for _ in 0..balls {
            counts[(self.next() % bins as u64) as usize] += 1;
        }
        counts
    }

    /// Returns a number from the Poisson distribution with this mean.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let mut product = self.uniform();
        let mut count = 0;
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }
}

/// The Zipf distribution over the numbers from 0 on; smaller numbers are more frequent.
pub(crate) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(numbers: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=numbers).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    pub(crate) fn sample(&self, rng: &mut SplitMix64) -> u64 {
        let at = rng.uniform() * self.cumulative.last().copied().unwrap_or(0.0);
        self.cumulative.partition_point(|&sum| sum <= at) as u64
    }
}
