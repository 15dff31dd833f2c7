//! Smaller statements than one that fails: cut to a part, without a clause, with simpler expressions.

use super::expression::{Expression, Type};
use super::relation::Relation;

/// So many statements are tried for one failure; each is as cheap as the first.
pub const ATTEMPTS: usize = 600;

/// Statements that are smaller by one step, the largest steps first. Some are not valid; they fail on both sides.
pub fn candidates(relation: &Relation) -> Vec<Relation> {
    let mut smaller: Vec<Relation> = children(relation).into_iter().cloned().collect();
    smaller.extend(fewer_columns(relation));
    smaller.extend(inside(relation));
    smaller
}

/// As [`candidates`], but of the same columns, so that what stands around it stays valid.
fn inside(relation: &Relation) -> Vec<Relation> {
    let types = relation.types();
    let mut smaller: Vec<Relation> =
        children(relation).into_iter().filter(|child| child.types() == types).cloned().collect();
    smaller.extend(fewer_clauses(relation));
    for index in 0..children(relation).len() {
        smaller.extend(inside(children(relation)[index]).into_iter().map(|child| {
            let mut copy = relation.clone();
            *children_mut(&mut copy)[index] = child;
            copy
        }));
    }
    for index in 0..expressions_mut(&mut relation.clone()).len() {
        let expression = expressions_mut(&mut relation.clone())[index].clone();
        smaller.extend(simpler(&expression).into_iter().map(|expression| {
            let mut copy = relation.clone();
            *expressions_mut(&mut copy)[index] = expression;
            copy
        }));
    }
    smaller
}

fn children(relation: &Relation) -> Vec<&Relation> {
    match relation {
        Relation::Table { .. } => vec![],
        Relation::Filter { input, .. }
        | Relation::Project { input, .. }
        | Relation::Aggregate { input, .. }
        | Relation::Window { input, .. }
        | Relation::Top { input, .. } => vec![input],
        Relation::Join { left, right, .. } | Relation::Set { left, right, .. } => vec![left, right],
        Relation::Subquery { input, inner, .. } => vec![input, inner],
        Relation::With { definition, body, .. } => vec![definition, body],
    }
}

fn children_mut(relation: &mut Relation) -> Vec<&mut Relation> {
    match relation {
        Relation::Table { .. } => vec![],
        Relation::Filter { input, .. }
        | Relation::Project { input, .. }
        | Relation::Aggregate { input, .. }
        | Relation::Window { input, .. }
        | Relation::Top { input, .. } => vec![input],
        Relation::Join { left, right, .. } | Relation::Set { left, right, .. } => vec![left, right],
        Relation::Subquery { input, inner, .. } => vec![input, inner],
        Relation::With { definition, body, .. } => vec![definition, body],
    }
}

fn expressions_mut(relation: &mut Relation) -> Vec<&mut Expression> {
    match relation {
        Relation::Table { .. } | Relation::Set { .. } | Relation::Top { .. } | Relation::With { .. } => vec![],
        Relation::Filter { predicate, .. } => vec![predicate],
        Relation::Project { items, .. } => items.iter_mut().collect(),
        Relation::Join { on, .. } => on.iter_mut().collect(),
        Relation::Subquery { inside, or, .. } => inside.iter_mut().chain(or).collect(),
        Relation::Aggregate { calls, having, .. } => calls.iter_mut().chain(having).collect(),
        Relation::Window { calls, .. } => calls.iter_mut().collect(),
    }
}

/// Without one clause, conjunct or alternative.
fn fewer_clauses(relation: &Relation) -> Vec<Relation> {
    let mut smaller = vec![];
    let mut without = |change: &dyn Fn(&mut Relation)| {
        let mut copy = relation.clone();
        change(&mut copy);
        smaller.push(copy);
    };
    let conjuncts = match relation {
        Relation::Join { on, .. } if on.len() > 1 => on.len(),
        Relation::Subquery { inside, .. } => inside.len(),
        _ => 0,
    };
    for index in 0..conjuncts {
        without(&|copy| {
            if let Relation::Join { on: conjuncts, .. } | Relation::Subquery { inside: conjuncts, .. } = copy {
                conjuncts.remove(index);
            }
        });
    }
    match relation {
        Relation::Subquery { or: Some(_), .. } => without(&|copy| {
            if let Relation::Subquery { or, .. } = copy {
                *or = None;
            }
        }),
        Relation::Aggregate { having: Some(_), .. } => without(&|copy| {
            if let Relation::Aggregate { having, .. } = copy {
                *having = None;
            }
        }),
        Relation::Project { select: "SELECT DISTINCT", .. } => without(&|copy| {
            if let Relation::Project { select, .. } = copy {
                *select = "SELECT";
            }
        }),
        _ => {}
    }
    smaller
}

/// Without one column of its own; only for the outermost relation, where nobody refers to columns by their place.
fn fewer_columns(relation: &Relation) -> Vec<Relation> {
    let own = match relation {
        Relation::Project { items: own, .. }
        | Relation::Aggregate { calls: own, .. }
        | Relation::Window { calls: own, .. } => own.len(),
        _ => 0,
    };
    if own < 2 {
        return vec![];
    }
    let without = |index: usize| {
        let mut copy = relation.clone();
        if let Relation::Project { items: own, .. }
        | Relation::Aggregate { calls: own, .. }
        | Relation::Window { calls: own, .. } = &mut copy
        {
            own.remove(index);
        }
        copy
    };
    (0..own).map(without).collect()
}

/// An argument of the same type, a constant, or the same call with a simpler argument.
fn simpler(expression: &Expression) -> Vec<Expression> {
    let Expression::Call { template, arguments, of } = expression else {
        return vec![];
    };
    let mut simpler: Vec<Expression> = arguments.iter().filter(|argument| argument.of() == *of).cloned().collect();
    if *of == Type::Boolean {
        simpler.extend(["TRUE", "FALSE"].map(|text| Expression::Literal { text: text.to_string(), of: *of }));
    }
    for (index, argument) in arguments.iter().enumerate() {
        simpler.extend(self::simpler(argument).into_iter().map(|argument| {
            let mut arguments = arguments.clone();
            arguments[index] = argument;
            Expression::Call { template: template.clone(), arguments, of: *of }
        }));
    }
    simpler
}
