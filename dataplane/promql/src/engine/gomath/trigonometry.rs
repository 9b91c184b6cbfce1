//! Sine, cosine and tangent as Go's library computes them: an argument is brought into an eighth of the
//! circle by pi/4 in three parts (Cody and Waite), a huge one by as many digits of 4/pi as it takes
//! (Payne and Hanek), and then goes into the polynomials of the Cephes library.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_4};

/// From here on three parts of pi/4 are not exact enough.
const HUGE: f64 = 536_870_912.0;

/// pi/4, the sum of three floats of which the first two have few digits.
const PI_4: [f64; 3] = [
    f64::from_bits(0x3fe9_21fb_4000_0000),
    f64::from_bits(0x3e64_442d_0000_0000),
    f64::from_bits(0x3ce8_4698_98cc_5170),
];

const SIN: [f64; 6] = [
    f64::from_bits(0x3de5_d8fd_1fd1_9ccd),
    f64::from_bits(0xbe5a_e5e5_a929_1f5d),
    f64::from_bits(0x3ec7_1de3_567d_48a1),
    f64::from_bits(0xbf2a_01a0_19bf_df03),
    f64::from_bits(0x3f81_1111_1110_f7d0),
    f64::from_bits(0xbfc5_5555_5555_5548),
];

const COS: [f64; 6] = [
    f64::from_bits(0xbda8_fa49_a086_1a9b),
    f64::from_bits(0x3e21_ee9d_7b4e_3f05),
    f64::from_bits(0xbe92_7e4f_7eac_4bc6),
    f64::from_bits(0x3efa_01a0_19c8_44f5),
    f64::from_bits(0xbf56_c16c_16c1_4f91),
    f64::from_bits(0x3fa5_5555_5555_554b),
];

const TAN_P: [f64; 3] = [
    f64::from_bits(0xc0c9_92d8_d24f_3f38),
    f64::from_bits(0x4131_99ec_a5fc_9ddd),
    f64::from_bits(0xc171_1fea_d329_9176),
];

const TAN_Q: [f64; 4] = [
    f64::from_bits(0x40ca_b8a5_eeb3_6572),
    f64::from_bits(0xc134_27bc_582a_bc96),
    f64::from_bits(0x4177_d98f_c2ea_d8ef),
    f64::from_bits(0xc189_afe0_3cbe_5a31),
];

/// The binary digits of 4/pi, of which the first word is the integer.
const DIGITS: [u64; 20] = [
    0x0000_0000_0000_0001,
    0x45f3_06dc_9c88_2a53,
    0xf84e_afa3_ea69_bb81,
    0xb6c5_2b32_7887_2083,
    0xfca2_c757_bd77_8ac3,
    0x6e48_dc74_849b_a5c0,
    0x0c92_5dd4_13a3_2439,
    0xfc3b_d639_6253_4e7d,
    0xd104_6bea_5d76_8909,
    0xd338_e04d_68be_fc82,
    0x7323_ac73_06a6_73e9,
    0x3908_bf17_7bf2_5076,
    0x3ff1_2fff_bc0b_301f,
    0xde5e_2316_b414_da3e,
    0xda6c_fd9e_4f96_136e,
    0x9e8c_7ecd_3cbf_d45a,
    0xea4f_758f_d7cb_e2f6,
    0x7a0e_73ef_14a5_25d4,
    0xd7f6_bf62_3f1a_ba10,
    0xac06_608d_f8f6_d757,
];

const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const EXPONENT_BIAS: i32 = 1023;

pub(in crate::engine) fn sin(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (octant, z) = reduce(x.abs());
    let negative = (x < 0.0) != (octant > 3);
    let y = match octant & 3 {
        1 | 2 => cos_polynomial(z),
        _ => sin_polynomial(z),
    };
    if negative { -y } else { y }
}

pub(in crate::engine) fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (octant, z) = reduce(x.abs());
    let quarter = octant & 3;
    let negative = (octant > 3) != (quarter > 1);
    let y = match quarter {
        1 | 2 => sin_polynomial(z),
        _ => cos_polynomial(z),
    };
    if negative { -y } else { y }
}

pub(in crate::engine) fn tan(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (octant, z) = reduce(x.abs());
    let zz = z * z;
    let mut y = z;
    if zz > 1e-14 {
        let above = (TAN_P[0] * zz + TAN_P[1]) * zz + TAN_P[2];
        let below = (((zz + TAN_Q[0]) * zz + TAN_Q[1]) * zz + TAN_Q[2]) * zz + TAN_Q[3];
        y = z + z * (zz * above / below);
    }
    if octant & 2 == 2 {
        y = -1.0 / y;
    }
    if x < 0.0 { -y } else { y }
}

fn sin_polynomial(z: f64) -> f64 {
    let zz = z * z;
    z + z * zz * polynomial(SIN, zz)
}

fn cos_polynomial(z: f64) -> f64 {
    let zz = z * z;
    1.0 - 0.5 * zz + zz * zz * polynomial(COS, zz)
}

fn polynomial([a, b, c, d, e, f]: [f64; 6], x: f64) -> f64 {
    ((((a * x + b) * x + c) * x + d) * x + e) * x + f
}

/// Returns an even octant, `0..8`, and the distance from where it begins, which is at most pi/4 either
/// way. `x` is positive and finite.
fn reduce(x: f64) -> (u64, f64) {
    if x >= HUGE {
        return reduce_huge(x);
    }
    let mut octant = (x * (2.0 * FRAC_2_PI)) as u64;
    octant += octant & 1;
    let y = octant as f64;
    let z = ((x - y * PI_4[0]) - y * PI_4[1]) - y * PI_4[2];
    (octant & 7, z)
}

fn reduce_huge(x: f64) -> (u64, f64) {
    let bits = x.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - EXPONENT_BIAS - MANTISSA_BITS as i32;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
    // The three words of 4/pi whose product with the mantissa has its point after three bits: what is
    // before them gives whole turns, what is after them is too small to matter.
    let from = (exponent + 61).unsigned_abs();
    let (word, shift) = ((from / 64) as usize, from % 64);
    let digits = |at: usize| {
        let next = DIGITS[at + 1].checked_shr(64 - shift).unwrap_or(0);
        DIGITS[at] << shift | next
    };
    let wide = |digits: u64| u128::from(digits) * u128::from(mantissa);
    let high = u128::from(digits(word).wrapping_mul(mantissa)) << 64;
    let product = high
        .wrapping_add(wide(digits(word + 1)))
        .wrapping_add(wide(digits(word + 2)) >> 64);
    let octant = (product >> 125) as u64;
    // The fraction as a float, cut off rather than rounded.
    let fraction = product << 3;
    let leading = ((fraction >> 64) as u64).leading_zeros();
    let fraction = (fraction << leading << 1 >> 64) as u64;
    let exponent = (EXPONENT_BIAS as u64) - u64::from(leading + 1);
    let z = f64::from_bits(fraction >> (64 - MANTISSA_BITS) | exponent << MANTISSA_BITS);
    if octant & 1 == 1 {
        ((octant + 1) & 7, (z - 1.0) * FRAC_PI_4)
    } else {
        (octant, z * FRAC_PI_4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_arguments_are_reduced_as_in_go() {
        assert_eq!(sin(9_007_199_254_740_992.0), -0.8489259648146551);
        assert_eq!(cos(9_007_199_254_740_992.0), -0.5285117844130887);
        assert_eq!(tan(9_007_199_254_740_992.0), 1.6062574002155616);
        assert_eq!(sin(f64::MAX), 0.004961954789184084);
        assert_eq!(cos(-f64::MAX), -0.9999876894265599);
        assert_eq!(tan(-1e15), 1.6724147821275832);
    }

    #[test]
    fn all_octants_agree_with_the_standard_library() {
        for i in -4000..4000 {
            for x in [f64::from(i) * 0.01, f64::from(i) * 1e6 + 0.3] {
                assert!((sin(x) - x.sin()).abs() < 1e-15, "sin {x}");
                assert!((cos(x) - x.cos()).abs() < 1e-15, "cos {x}");
                let tan_error = (tan(x) / x.tan() - 1.0).abs();
                assert!(x == 0.0 || tan_error < 1e-12, "tan {x}");
            }
        }
    }

    #[test]
    fn what_has_no_angle_has_no_sine() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(sin(x).is_nan() && cos(x).is_nan() && tan(x).is_nan());
        }
        assert!(sin(-0.0).is_sign_negative() && tan(-0.0).is_sign_negative());
    }
}
