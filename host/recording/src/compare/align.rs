//! Which action of one list answers to which of the other.

use cordboard_call::contract::Action;

/// An action of each list that belong together, or one that stands alone.
pub(super) type Pair<'a> = (Option<&'a Action>, Option<&'a Action>);

/// Pairs of the longer list's actions after which the lists are laid side by side as they come: 1,024, four
/// answers' worth. Work grows with the square.
const ALIGNED_MAX: usize = 1_024;

/// Pairs the actions of two lists in their order: equal ones first of all, then ones of a kind, with as few left
/// alone as can be.
pub(super) fn align<'a>(one: &'a [Action], two: &'a [Action]) -> Vec<Pair<'a>> {
    let head = one.iter().zip(two).take_while(|(one, two)| one == two).count();
    let (one_rest, two_rest) = (&one[head..], &two[head..]);
    let tail = one_rest.iter().rev().zip(two_rest.iter().rev()).take_while(|(one, two)| one == two);
    let tail = tail.count();
    let (one_middle, one_tail) = one_rest.split_at(one_rest.len() - tail);
    let (two_middle, two_tail) = two_rest.split_at(two_rest.len() - tail);
    let both = |(one, two): (&'a Action, &'a Action)| (Some(one), Some(two));
    let mut pairs: Vec<Pair<'a>> = one[..head].iter().zip(two).map(both).collect();
    if one_middle.len().max(two_middle.len()) > ALIGNED_MAX {
        let longer = one_middle.len().max(two_middle.len());
        pairs.extend((0..longer).map(|at| (one_middle.get(at), two_middle.get(at))));
    } else {
        pairs.extend(cheapest(one_middle, two_middle));
    }
    pairs.extend(one_tail.iter().zip(two_tail).map(both));
    pairs
}

/// The edit distance's own table: an action alone costs 2, two different ones of a kind 3, equal ones nothing.
fn cheapest<'a>(one: &'a [Action], two: &'a [Action]) -> Vec<Pair<'a>> {
    const ALONE: u32 = 2;
    const CHANGED: u32 = 3;
    let width = two.len() + 1;
    let mut cost = vec![0_u32; (one.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    let together = |one: &Action, two: &Action| match one {
        one if one == two => Some(0),
        one if one.kind() == two.kind() => Some(CHANGED),
        _ => None,
    };
    // From the end, so that the way back is walked from the beginning.
    for row in (0..=one.len()).rev() {
        for column in (0..=two.len()).rev() {
            let down = (row < one.len()).then(|| cost[at(row + 1, column)] + ALONE);
            let right = (column < two.len()).then(|| cost[at(row, column + 1)] + ALONE);
            let across = match (one.get(row), two.get(column)) {
                (Some(one), Some(two)) => {
                    together(one, two).map(|price| cost[at(row + 1, column + 1)] + price)
                }
                _ => None,
            };
            cost[at(row, column)] = [across, down, right].into_iter().flatten().min().unwrap_or(0);
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut pairs = Vec::new();
    while row < one.len() || column < two.len() {
        let here = cost[at(row, column)];
        let both = one.get(row).zip(two.get(column));
        let price = both.and_then(|(one, two)| together(one, two));
        if let (Some((one, two)), Some(price)) = (both, price)
            && here == cost[at(row + 1, column + 1)] + price
        {
            pairs.push((Some(one), Some(two)));
            (row, column) = (row + 1, column + 1);
        } else if row < one.len() && here == cost[at(row + 1, column)] + ALONE {
            pairs.push((Some(&one[row]), None));
            row += 1;
        } else {
            pairs.push((None, two.get(column)));
            column += 1;
        }
    }
    pairs
}
