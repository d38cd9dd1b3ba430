//! In which order the operators of a route are tried.
//!
//! Pure and exact: whole numbers only, so that the same question has the same order on every machine, and a message that is
//! decided again keeps the operators it had. Invariant: every operator of the route stands in the order once.

use crate::cost::CostTable;
use crate::facts::Question;
use crate::route::Strategy;
use smsgw_message::OperatorId;

/// The operators in the order they are to be tried.
pub(crate) fn order<'a>(
    operators: &'a [OperatorId],
    strategy: Strategy,
    weights: &[u32],
    costs: &CostTable,
    question: &Question<'_>,
) -> Vec<&'a OperatorId> {
    match strategy {
        Strategy::Failover => operators.iter().collect(),
        Strategy::Weighted => {
            let [high, low] = halves(question.id.as_bytes());
            weighted(operators, weights, mix(high ^ mix(low)))
        }
        Strategy::LeastCost => {
            let (digits, at) = (question.to.as_str(), question.at);
            let mut order: Vec<_> = operators
                .iter()
                .map(|operator| {
                    (
                        costs.cost(operator, digits, at).map(|cost| cost.per_part),
                        operator,
                    )
                })
                .collect();
            // A stable sort: of equal costs the first in the file.
            order.sort_by_key(|(cost, _)| (cost.is_none(), *cost));
            order.into_iter().map(|(_, operator)| operator).collect()
        }
        Strategy::Sticky => sticky(operators, weights, question.to.as_str()),
    }
}

fn weight(weights: &[u32], index: usize) -> u32 {
    weights.get(index).copied().unwrap_or(1)
}

/// Draws one after the other, each with the chance of its weight among those that are left; those of weight 0 come last.
fn weighted<'a>(operators: &'a [OperatorId], weights: &[u32], seed: u64) -> Vec<&'a OperatorId> {
    let mut left: Vec<(u64, &OperatorId)> = operators
        .iter()
        .enumerate()
        .map(|(index, operator)| (u64::from(weight(weights, index)), operator))
        .collect();
    let mut order = Vec::with_capacity(left.len());
    let mut seed = seed;
    while !left.is_empty() {
        let sum: u64 = left.iter().map(|(weight, _)| weight).sum();
        let at = match seed.checked_rem(sum) {
            None => 0,
            Some(drawn) => {
                let mut behind = 0;
                left.iter()
                    .position(|(weight, _)| {
                        behind += weight;
                        drawn < behind
                    })
                    .unwrap_or_default()
            }
        };
        order.push(left.remove(at).1);
        seed = mix(seed);
    }
    order
}

/// By the best of as many draws as each has weight, from destination and name: when an operator comes or goes, only the
/// phones move that it gets or had.
fn sticky<'a>(operators: &'a [OperatorId], weights: &[u32], digits: &str) -> Vec<&'a OperatorId> {
    let phone = hash(digits.as_bytes());
    let mut order: Vec<(Option<u64>, &OperatorId)> = operators
        .iter()
        .enumerate()
        .map(|(index, operator)| {
            let own = mix(phone ^ hash(operator.as_str().as_bytes()));
            let draws = (0..weight(weights, index)).map(|n| mix(own.wrapping_add(u64::from(n))));
            (draws.max(), operator)
        })
        .collect();
    order.sort_by_key(|(drawn, _)| std::cmp::Reverse(*drawn));
    order.into_iter().map(|(_, operator)| operator).collect()
}

fn halves(octets: &[u8; 16]) -> [u64; 2] {
    let (halves, _) = octets.as_chunks::<8>();
    let half = |index: usize| halves.get(index).map_or(0, |half| u64::from_be_bytes(*half));
    [half(0), half(1)]
}

/// FNV-1a, 64 bits: written down here because an order must be the same in every version.
fn hash(octets: &[u8]) -> u64 {
    octets.iter().fold(0xCBF2_9CE4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// One step of SplitMix64: spreads what differs little over all bits.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn operators(names: &[&str]) -> Vec<OperatorId> {
        names
            .iter()
            .map(|name| OperatorId::try_new(name).unwrap())
            .collect()
    }

    #[test]
    fn weights_are_kept_and_what_has_none_stands_by() {
        let names = operators(&["a", "b", "c"]);
        let mut firsts: BTreeMap<&str, u32> = BTreeMap::new();
        for seed in 0..10_000 {
            let order = weighted(&names, &[7, 3, 0], mix(seed));
            *firsts.entry(order[0].as_str()).or_default() += 1;
            assert_eq!(order[2].as_str(), "c");
            assert_eq!(
                order,
                weighted(&names, &[7, 3, 0], mix(seed)),
                "the same every time"
            );
        }
        assert!((6_800..7_200).contains(&firsts["a"]), "{firsts:?}");
        let none = weighted(&names, &[0, 0, 0], 1);
        assert_eq!(none.len(), 3, "all stand by: as they are named");
    }

    #[test]
    fn a_phone_stays_and_only_those_of_a_new_operator_move() {
        let (few, more) = (operators(&["a", "b"]), operators(&["a", "b", "c"]));
        let (mut moved, mut to_b) = (0, 0);
        for phone in 0..10_000 {
            let digits = format!("4917{phone:08}");
            let before = sticky(&few, &[], &digits)[0];
            let after = sticky(&more, &[], &digits)[0];
            assert_eq!(before, sticky(&few, &[], &digits)[0]);
            assert!(before == after || after.as_str() == "c", "{digits}");
            moved += u32::from(before != after);
            to_b += u32::from(sticky(&few, &[1, 3], &digits)[0].as_str() == "b");
        }
        assert!((3_100..3_600).contains(&moved), "{moved}");
        assert!((7_200..7_800).contains(&to_b), "{to_b}");
    }
}
