//! An axis: the position of a figure, the ticks and their labels.

/// An axis of a plot.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::page) struct Axis {
    /// The ends, as logarithms on a logarithmic axis.
    pub(super) from: f64,
    pub(super) to: f64,
    /// The positions of ticks, on the same scale, and their labels.
    pub(super) ticks: Vec<(f64, String)>,
    logarithmic: bool,
}

/// The greatest number of ticks.
const MAX_TICKS: usize = 5;

impl Axis {
    /// Makes a logarithmic axis around positive figures.
    pub(in crate::page) fn logarithmic(
        figures: impl IntoIterator<Item = f64>,
        format_tick: impl Fn(f64) -> String,
    ) -> Self {
        let (least, most) = range(figures.into_iter().filter(|figure| *figure > 0.0));
        let margin = (most / least).powf(0.04).max(1.01);
        let (least, most) = (least / margin, most * margin);
        let ticks = if most / least < 4.0 { even_ticks(least, most) } else { round_ticks(least, most) };
        let ticks = ticks.into_iter().map(|tick| (tick.log10(), format_tick(tick))).collect();
        Self { from: least.log10(), to: most.log10(), ticks, logarithmic: true }
    }

    /// Makes a linear axis.
    pub(in crate::page) fn linear(from: f64, to: f64, format_tick: impl Fn(f64) -> String) -> Self {
        Self {
            from,
            to,
            ticks: even_ticks(from, to).into_iter().map(|tick| (tick, format_tick(tick))).collect(),
            logarithmic: false,
        }
    }

    /// Makes an axis of names: the first at 0, the second at 1.
    pub(in crate::page) fn named(names: &[&str]) -> Self {
        let ticks = names.iter().enumerate().map(|(n, name)| (n as f64, (*name).to_owned())).collect();
        Self { from: -0.2, to: names.len() as f64 - 0.8, ticks, logarithmic: false }
    }

    /// Returns the position of a figure, at the edge if it is beyond.
    pub(super) fn at(&self, figure: f64) -> f64 {
        let place = if self.logarithmic { figure.max(f64::MIN_POSITIVE).log10() } else { figure };
        place.clamp(self.from, self.to)
    }
}

/// Returns the range of figures, or a valid one if there are none.
fn range(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        figures.fold((f64::INFINITY, 0.0_f64), |(least, most), figure| (least.min(figure), most.max(figure)));
    if least.is_finite() && most.is_finite() && most > 0.0 { (least, most.max(least * 1.05)) } else { (1.0, 10.0) }
}

/// Multiples of 1, 2 or 5 times a power of ten, at most five.
fn even_ticks(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / MAX_TICKS as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (from / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|tick| *tick <= to).take(MAX_TICKS + 1).collect()
}

/// Powers of ten with 2 and 5 between them, or fewer if they are too many.
fn round_ticks(from: f64, to: f64) -> Vec<f64> {
    let decades = (from.log10().floor() as i32)..=(to.log10().ceil() as i32);
    let ticks = |factors: &[f64], every: i32| -> Vec<f64> {
        let powers = decades.clone().filter(|power| power.rem_euclid(every) == 0).map(|power| 10.0_f64.powi(power));
        let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * power));
        all.filter(|tick| (from..=to).contains(tick)).collect()
    };
    let choices = [ticks(&[1.0, 2.0, 5.0], 1), ticks(&[1.0, 3.0], 1), ticks(&[1.0], 1), ticks(&[1.0], 2)];
    let fitting = choices.into_iter().find(|ticks| ticks.len() <= MAX_TICKS);
    fitting.unwrap_or_else(|| ticks(&[1.0], 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, tick_label)| tick_label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        let format_tick = |tick: f64| format!("{tick:.1}");
        assert_eq!(ticks(&Axis::logarithmic([0.9, 1.3], format_tick)), ["0.9", "1.0", "1.1", "1.2", "1.3"]);
        assert_eq!(ticks(&Axis::logarithmic([10.0, 300.0], format_tick)), ["10.0", "20.0", "50.0", "100.0", "200.0"]);
        assert_eq!(
            ticks(&Axis::logarithmic([1e3, 1e7], format_tick)),
            ["1000.0", "10000.0", "100000.0", "1000000.0", "10000000.0"]
        );
        assert_eq!(ticks(&Axis::linear(0.0, 100.0, format_tick)), ["0.0", "20.0", "40.0", "60.0", "80.0", "100.0"]);
        assert!(ticks(&Axis::logarithmic([1.0, 1e12], format_tick)).len() <= MAX_TICKS);
    }

    #[test]
    fn figures_beyond_the_axis_are_at_its_edge() {
        let axis = Axis::logarithmic([1.0, 10.0], |tick| tick.to_string());
        assert_eq!((axis.at(0.0), axis.at(1e9)), (axis.from, axis.to));
        assert!((axis.at(10.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_without_figures_is_valid() {
        let axis = Axis::logarithmic([f64::NAN, 0.0, f64::INFINITY], |tick| tick.to_string());
        assert!(axis.from.is_finite() && axis.to > axis.from, "{axis:?}");
        let axis = Axis::logarithmic([5.0], |tick| tick.to_string());
        assert!(axis.to > axis.from, "{axis:?}");
    }
}
