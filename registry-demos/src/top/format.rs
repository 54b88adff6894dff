//! Formatting of numbers for display: at most four characters and a unit.

use std::time::Duration;

/// Formats a count or a rate: `0`, `812`, `1.2k`, `12k`, `812k`, `1.2M`.
pub fn count(count: f64) -> String {
    scaled(count, ["", "k", "M", "G"])
}

/// Formats a latency in nanoseconds: `-` for zero, `210n`, `2.1µ`, `21µ`, `2.1m`, `1.5s`.
pub fn latency(nanoseconds: u64) -> String {
    if nanoseconds == 0 { "-".to_owned() } else { scaled(nanoseconds as f64, ["n", "µ", "m", "s"]) }
}

/// Formats a ratio from 0 to 1 as a percentage.
pub fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// Formats an integer with thousands separators: `4,096`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats minutes and seconds: `1:05`.
pub fn minutes_seconds(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Formats at most three significant digits, with the unit of the power of a thousand.
fn scaled(number: f64, units: [&str; 4]) -> String {
    let mut number = number;
    for (step, unit) in units.iter().enumerate() {
        // A number that would be rounded up to a thousand is shown in the next unit.
        if number < 999.5 || step == units.len() - 1 {
            let decimals = usize::from(number < 9.95 && step > 0);
            return format!("{number:.decimals$}{unit}");
        }
        number /= 1_000.0;
    }
    unreachable!("the last step returns")
}
