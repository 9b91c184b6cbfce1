//! Functions of one number.

use crate::calendar::{Civil, civil, days_in_month};
use crate::engine::gomath;

use super::fn_id::{Date, Math};

pub(super) fn math(func: Math, x: f64) -> f64 {
    match func {
        Math::Abs => x.abs(),
        Math::Acos => x.acos(),
        Math::Acosh => gomath::acosh(x),
        Math::Asin => x.asin(),
        Math::Asinh => gomath::asinh(x),
        Math::Atan => x.atan(),
        Math::Atanh => gomath::atanh(x),
        Math::Ceil => x.ceil(),
        Math::Cos => gomath::cos(x),
        Math::Cosh if x.abs() > 21.0 => x.abs().exp() * 0.5,
        Math::Cosh => x.cosh(),
        Math::Deg => x * 180.0 / std::f64::consts::PI,
        Math::Exp => x.exp(),
        Math::Floor => x.floor(),
        Math::Ln => x.ln(),
        Math::Log10 => x.log10(),
        Math::Log2 => x.log2(),
        Math::Rad => x * std::f64::consts::PI / 180.0,
        Math::Sgn => {
            if x < 0.0 {
                -1.0
            } else if x > 0.0 {
                1.0
            } else {
                x
            }
        }
        Math::Sin => gomath::sin(x),
        // As Go: infinite as soon as the exponential is.
        Math::Sinh if x.abs() > 21.0 => (x.abs().exp() * 0.5).copysign(x),
        Math::Sinh => x.sinh(),
        Math::Sqrt => x.sqrt(),
        Math::Tan => gomath::tan(x),
        Math::Tanh => x.tanh(),
    }
}

pub(super) fn date(func: Date, seconds: i64) -> f64 {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        weekday,
        year_day,
        ..
    } = civil(seconds);
    match func {
        Date::DayOfMonth => f64::from(day),
        Date::DayOfWeek => f64::from(weekday),
        Date::DayOfYear => f64::from(year_day),
        Date::DaysInMonth => f64::from(days_in_month(year, month)),
        Date::Hour => f64::from(hour),
        Date::Minute => f64::from(minute),
        Date::Month => f64::from(month),
        Date::Year => year as f64,
    }
}

/// Go's conversion to an integer on amd64: what does not fit is the smallest one.
pub(super) fn go_i64(value: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}
