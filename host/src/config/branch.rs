//! The chain as a tree: filters, and branches (`use = "branch"`) whose arms hold filters and branches again. What a filter
//! itself takes is read by `filter`.

use super::filter::{FilterStep, OnFailure, component, component_name, on_failure, read_filter, read_id};
use super::section::Section;
use crate::event::condition::Condition;

/// How deep branches may be nested.
const DEEPEST: usize = 32;

/// One step of the chain, or of an arm.
#[derive(Clone, Debug)]
pub enum Step {
    /// A filter, by its number in the list of all filters.
    Filter(usize),
    /// A branch.
    Branch(Box<Branch>),
}

/// If, else if, else: an event goes into the first arm whose condition holds, and then on after the branch.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Its name in messages and figures, one of its own in the pipeline like that of a filter.
    pub id: String,
    /// Which events it is asked for; the others pass it by.
    pub when: Option<Condition>,
    /// What becomes of an event for which a condition of the branch cannot be evaluated.
    pub on_error: OnFailure,
    /// The arms, in order.
    pub arms: Vec<Arm>,
}

/// One way through a branch.
#[derive(Clone, Debug)]
pub struct Arm {
    /// `None`: the else.
    pub when: Option<Condition>,
    /// What is done to the events that take it; may be nothing.
    pub steps: Vec<Step>,
}

impl Step {
    /// So many filters, one after the other.
    pub fn in_line(filters: usize) -> Vec<Step> {
        (0..filters).map(Step::Filter).collect()
    }

    /// How many branches there are among the steps and in their arms.
    pub fn branches(steps: &[Step]) -> usize {
        let mut count = 0;
        for step in steps {
            if let Step::Branch(branch) = step {
                count += 1;
                for arm in &branch.arms {
                    count += Step::branches(&arm.steps);
                }
            }
        }
        count
    }
}

/// Reads the chain: all filters in the order of writing, and how they stand. A filter whose component is not known is
/// left out, with its problem.
pub(super) fn read_chain(sections: Vec<Section>) -> (Vec<FilterStep>, Vec<Step>) {
    let mut reading = Reading { filters: Vec::new(), ids: Vec::new() };
    let steps = reading.steps(sections, 0);
    (reading.filters, steps)
}

struct Reading {
    filters: Vec<FilterStep>,
    ids: Vec<String>,
}

impl Reading {
    fn steps(&mut self, sections: Vec<Section>, depth: usize) -> Vec<Step> {
        let mut steps = Vec::with_capacity(sections.len());
        for mut section in sections {
            let written = section.required_text("use");
            if written != "branch" {
                let component = component(&section, &written);
                let id = read_id(&mut section, &component_name(&component), &self.ids);
                self.ids.push(id.clone());
                let step = read_filter(&mut section, id, component);
                if !written.is_empty() {
                    steps.push(Step::Filter(self.filters.len()));
                    self.filters.push(step);
                }
            } else if depth >= DEEPEST {
                let fix = "conditions can be joined with `and`, and a filter takes a `when` of its own";
                section.problem("use", &format!("branches are nested deeper than {DEEPEST}"), fix);
                section.ignore_rest();
            } else {
                steps.push(Step::Branch(Box::new(self.branch(&mut section, depth))));
            }
        }
        steps
    }

    fn branch(&mut self, section: &mut Section, depth: usize) -> Branch {
        let id = read_id(section, "branch", &self.ids);
        self.ids.push(id.clone());
        let when = section.condition("when");
        let on_error = on_failure(section, "on_error", OnFailure::Tag);
        let sections = section.sections("arm");
        if sections.is_empty() {
            let fix = "add [[filter.arm]] with when = '…' and [[filter.arm.filter]]; the last arm may be without `when`";
            section.problem("use", "a branch has at least one arm", fix);
        }
        let mut arms = Vec::with_capacity(sections.len());
        let last = sections.len().saturating_sub(1);
        for (number, mut arm) in sections.into_iter().enumerate() {
            if number < last && !arm.is_set("when") {
                let fix = "give it a `when`, or move it to the end";
                arm.problem("when", "an arm without `when` is the else, and stands last", fix);
            }
            arms.push(Arm {
                when: arm.condition("when"),
                steps: self.steps(arm.sections("filter"), depth + 1),
            });
        }
        Branch { id, when, on_error, arms }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn read(text: &str) -> (Vec<FilterStep>, Vec<Step>, Vec<String>) {
        let mut section = Section::parse(text);
        let (filters, steps) = read_chain(section.sections("filter"));
        (filters, steps, section.into_problems())
    }

    /// The steps as text: `0 branch([a]: 1; else: 2) 3`.
    fn shown(steps: &[Step]) -> String {
        let mut text = String::new();
        for step in steps {
            if !text.is_empty() {
                text.push(' ');
            }
            match step {
                Step::Filter(number) => write!(text, "{number}").unwrap(),
                Step::Branch(branch) => {
                    let arms = branch.arms.iter().map(|arm| {
                        let when = arm.when.as_ref().map_or_else(
                            || "else".to_owned(),
                            |when| when.references().iter().map(ToString::to_string).collect(),
                        );
                        format!("{when}: {}", shown(&arm.steps))
                    });
                    write!(text, "{}({})", branch.id, arms.collect::<Vec<_>>().join("; ")).unwrap();
                }
            }
        }
        text
    }

    #[test]
    fn branches_are_nested_freely() {
        let (filters, steps, problems) = read(
            "[[filter]]\nuse = 'mutate'\n\
             [[filter]]\nuse = 'branch'\n\
             [[filter.arm]]\nwhen = '[a]'\n[[filter.arm.filter]]\nuse = 'mutate'\n\
             [[filter.arm.filter]]\nuse = 'branch'\n[[filter.arm.filter.arm]]\nwhen = '[b]'\n\
             [[filter.arm.filter.arm.filter]]\nuse = 'date'\n\
             [[filter.arm]]\nwhen = '[c]'\n\
             [[filter.arm]]\n[[filter.arm.filter]]\nuse = 'mutate'\n\
             [[filter]]\nuse = 'branch'\nid = 'last'\n[[filter.arm]]\nwhen = '[d]'\n\
             [[filter]]\nuse = 'dissect'\n",
        );
        assert_eq!(problems, [""; 0]);
        let ids: Vec<&str> = filters.iter().map(|filter| filter.id.as_str()).collect();
        assert_eq!(ids, ["mutate", "mutate-2", "date", "mutate-3", "dissect"]);
        assert_eq!(shown(&steps), "0 branch([a]: 1 branch-2([b]: 2); [c]: ; else: 3) last([d]: ) 4");
        assert_eq!(Step::branches(&steps), 3);
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |depth: usize| {
            let mut text = String::new();
            let mut path = "filter".to_owned();
            for _ in 0..depth {
                write!(text, "[[{path}]]\nuse = 'branch'\n[[{path}.arm]]\nwhen = '[a]'\n").unwrap();
                path.push_str(".arm.filter");
            }
            text
        };
        let (_, steps, problems) = read(&nested(DEEPEST));
        assert_eq!(problems, [""; 0]);
        assert_eq!(Step::branches(&steps), DEEPEST);
        let (_, _, problems) = read(&nested(DEEPEST + 1));
        assert!(problems.len() == 1 && problems[0].contains("deeper than 32"), "{problems:?}");
    }
}
