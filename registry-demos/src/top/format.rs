//! Figures as a person reads them: at most four characters and a unit.

use std::time::Duration;

/// A count or a rate: `0`, `812`, `1.2k`, `12k`, `812k`, `1.2M`.
pub fn count(count: f64) -> String {
    scaled(count, ["", "k", "M", "G"])
}

/// A latency, given in nanoseconds: `-` for none, `210n`, `2.1µ`, `21µ`, `2.1m`, `1.5s`.
pub fn latency(nanoseconds: u64) -> String {
    if nanoseconds == 0 { "-".to_owned() } else { scaled(nanoseconds as f64, ["n", "µ", "m", "s"]) }
}

/// A share, from 0 to 1, in percent.
pub fn share(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A number with its thousands apart: `4,096`.
pub fn exact(number: usize) -> String {
    let digits = number.to_string();
    let mut apart = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// Minutes and seconds: `1:05`.
pub fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Three digits at most, and the unit of the thousands.
fn scaled(number: f64, units: [&str; 4]) -> String {
    let mut number = number;
    for (step, unit) in units.iter().enumerate() {
        // What would be rounded up to a thousand is one of the next.
        if number < 999.5 || step == units.len() - 1 {
            let decimals = usize::from(number < 9.95 && step > 0);
            return format!("{number:.decimals$}{unit}");
        }
        number /= 1_000.0;
    }
    unreachable!("the last step returns")
}
