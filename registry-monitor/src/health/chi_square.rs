//! The upper tail of the chi-square distribution.

/// Returns the probability that a chi-square variable with `degrees` degrees of freedom is at least `value`.
///
/// Accurate to eight digits above the mean. Returns 1 at or below the mean, where a test never rejects.
pub(crate) fn upper_tail(value: f64, degrees: u32) -> f64 {
    let (a, x) = (f64::from(degrees) / 2.0, value / 2.0);
    if degrees == 0 || x <= a || x.is_nan() {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    // The upper incomplete gamma function as a continued fraction, by Lentz's method. It converges fast above the mean,
    // where x is above a.
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        let nonzero = |number: f64| if number.abs() < TINY { TINY } else { number };
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < 1e-12 {
            break;
        }
    }
    ((a * x.ln() - x - ln_gamma_of_half(degrees)).exp() * fraction).min(1.0)
}

/// Returns ln Γ(degrees / 2), as a sum of logarithms.
fn ln_gamma_of_half(degrees: u32) -> f64 {
    let even = degrees & 1 == 0;
    let start = if even { 0.0 } else { std::f64::consts::PI.ln() / 2.0 };
    let steps = if even { degrees / 2 - 1 } else { degrees / 2 };
    let first = if even { 1.0 } else { 0.5 };
    start + (0..steps).map(|step| (first + f64::from(step)).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(actual: f64, exact: f64) {
        assert!((actual / exact - 1.0).abs() < 1e-6, "{actual} is not {exact}");
    }

    #[test]
    fn matches_tabulated_critical_values() {
        // To the precision of the tables.
        for (value, degrees, p_value) in [
            (3.841_458_820_694, 1, 0.05),
            (10.827_566_170_662, 1, 0.001),
            (5.991_464_547_108, 2, 0.05),
            (16.266_236_196_239, 3, 0.001),
            (82.528_726_544_718, 63, 0.05),
        ] {
            assert!((upper_tail(value, degrees) / p_value - 1.0).abs() < 1e-3, "{value} of {degrees}");
        }
    }

    #[test]
    fn two_degrees_of_freedom_are_exponential() {
        for value in [2.5, 10.0, 40.0, 200.0, 1_000.0] {
            assert_close(upper_tail(value, 2), (-value / 2.0_f64).exp());
        }
    }

    #[test]
    fn even_degrees_of_freedom_are_a_poisson_sum() {
        for (value, degrees) in [(100.0, 64), (200.0, 64), (30.0, 10), (5_000.0, 4_000)] {
            let x: f64 = value / 2.0;
            let mut term = (-x).exp();
            let mut sum = 0.0;
            if term > 0.0 {
                for i in 0..degrees / 2 {
                    sum += term;
                    term *= x / f64::from(i + 1);
                }
                assert_close(upper_tail(value, degrees), sum);
            }
        }
    }

    #[test]
    fn values_below_the_mean_and_extreme_values_are_handled() {
        for value in [f64::NAN, -1.0, 0.0, 63.0] {
            assert_eq!(upper_tail(value, 63), 1.0);
        }
        assert_eq!(upper_tail(1e9, 0), 1.0);
        assert_eq!((upper_tail(f64::INFINITY, 63), upper_tail(1e9, 63)), (0.0, 0.0));
        assert!(upper_tail(5_000.0, 4_095) < 1e-15);
    }
}
