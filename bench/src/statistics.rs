//! Medians, percentiles, and how sure a ratio of two medians is.

use fastrand::Rng;

/// How many resamples an interval is made of.
const RESAMPLES: usize = 4000;

/// The ratio of two medians with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Ratio {
    pub(crate) ratio: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The middle value, or the mean of the two middle ones.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        f64::NAN
    } else if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The smallest value that at least `share` of all values do not exceed.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The ratio of the medians of both halves of the pairs. The interval is a
/// percentile bootstrap that draws whole pairs, so that whatever slowed both
/// halves of one does not widen it.
pub(crate) fn ratio(pairs: &[(f64, f64)], rng: &mut Rng) -> Ratio {
    let of = |pairs: &[(f64, f64)]| {
        median(pairs.iter().map(|pair| pair.0)) / median(pairs.iter().map(|pair| pair.1))
    };
    let draw = |_| of(&(0..pairs.len()).map(|_| pairs[rng.usize(..pairs.len())]).collect::<Vec<_>>());
    let resampled: Vec<f64> = (0..RESAMPLES).map(draw).collect();
    Ratio {
        ratio: of(pairs),
        low: percentile(resampled.iter().copied(), 0.025),
        high: percentile(resampled.iter().copied(), 0.975),
    }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(hundred.iter().copied(), 0.95), 95.0);
        assert_eq!(percentile([7.0], 0.95), 7.0);
    }

    #[test]
    fn the_interval_holds_the_ratio_and_narrows_with_less_noise() {
        let mut rng = Rng::with_seed(1);
        let mut pairs = |noise: f64| -> Vec<(f64, f64)> {
            (0..40).map(|_| (1.5 + noise * rng.f64(), 1.0 + noise * rng.f64())).collect()
        };
        let (rough, smooth) = (pairs(0.8), pairs(0.02));
        let (rough, smooth) = (ratio(&rough, &mut Rng::with_seed(2)), ratio(&smooth, &mut Rng::with_seed(2)));
        assert!(rough.low < rough.ratio && rough.ratio < rough.high, "{rough:?}");
        assert!((1.45..1.55).contains(&smooth.ratio), "{smooth:?}");
        assert!(smooth.high - smooth.low < (rough.high - rough.low) / 4.0, "{smooth:?} {rough:?}");
    }

    #[test]
    fn what_slows_both_halves_of_a_pair_does_not_widen_the_interval() {
        let pairs: Vec<(f64, f64)> = (1..40).map(|slow| (2.0 * f64::from(slow), f64::from(slow))).collect();
        let found = ratio(&pairs, &mut Rng::with_seed(3));
        assert_eq!((found.low, found.ratio, found.high), (2.0, 2.0, 2.0));
    }
}
