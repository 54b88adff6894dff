//! Formats figures for a reader: units that fit the size, and separated thousands.

use crate::spread::Spread;

/// Formats a whole number with separated thousands.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with three significant digits and K, M or G.
pub(crate) fn compact(number: f64) -> String {
    let scaled = |number: f64, unit: &str| format!("{}{unit}", digits(number));
    match number {
        number if number >= 1e9 => scaled(number / 1e9, "G"),
        number if number >= 1e6 => scaled(number / 1e6, "M"),
        number if number >= 1e3 => scaled(number / 1e3, "K"),
        number => scaled(number, ""),
    }
}

/// Formats a time.
pub(crate) fn time(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{} s", digits(ns / 1e9)),
        ns if ns >= 1e6 => format!("{} ms", digits(ns / 1e6)),
        ns if ns >= 1e3 => format!("{} µs", digits(ns / 1e3)),
        ns => format!("{} ns", digits(ns)),
    }
}

/// Formats a number per second.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", compact(per_second))
}

/// Formats a number of bytes.
pub(crate) fn bytes(bytes: f64) -> String {
    if bytes >= 10_240.0 { format!("{} KiB", digits(bytes / 1_024.0)) } else { format!("{bytes:.0} B") }
}

/// Formats a ratio.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// Formats a factor, with a question mark if it is not above 1 in every round.
pub(crate) fn uncertain(factor: &Spread) -> String {
    format!("{}{}", ratio(factor.median), if factor.min > 1.0 { "" } else { "?" })
}

/// Formats the least and the greatest.
pub(crate) fn range(spread: &Spread, format: impl Fn(f64) -> String) -> String {
    format!("{} – {}", format(spread.min), format(spread.max))
}

/// Formats a number of threads.
pub(crate) fn threads(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// Formats three significant digits, without trailing zeros.
fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        number if number >= 99.95 => 0,
        number if number >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([1, 999, 1_000, 1_234_567].map(count), ["1", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!([31.27, 1_500.0, 2e6, 3.21e9].map(time), ["31.3 ns", "1.5 µs", "2 ms", "3.21 s"]);
        assert_eq!([12.0, 1e4, 3.12e6].map(rate), ["12/s", "10K/s", "3.12M/s"]);
        assert_eq!([137.4, 20_480.0].map(bytes), ["137 B", "20 KiB"]);
        assert_eq!([0.5, 100.0, 0.0].map(compact), ["0.5", "100", "0"]);
        assert_eq!([threads(1), threads(2)], ["1 thread", "2 threads"]);
    }
}
