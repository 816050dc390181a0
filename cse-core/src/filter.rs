//! Conditions on resources (TS-0004 §7.3.3.17): whether filter criteria or the criteria of a subscription hold.
//!
//! Values in one member are alternatives; members combine by `fo`. A condition on an attribute that the
//! resource does not have does not hold. Two bounds of the same attribute are one condition, an interval, also
//! when `fo` is OR.

mod attribute;
mod content;
mod event;
mod labels_query;
mod range;

pub(crate) use event::EventFilter;

use crate::error::Error;
use crate::ports::Clause;
use crate::primitive::{AttributeCondition, FilterCriteria, FilterOperation};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::value::Text;
use content::ContentQuery;
use labels_query::LabelsQuery;
use range::Ranges;

/// A resource and what conditions may look at besides it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// The resource itself.
    pub(crate) resource: &'a Resource,
    /// Its parent; needed if [`Filter::needs_parent`].
    pub(crate) parent: Option<&'a Resource>,
    /// What its children satisfy; needed if there are conditions on children.
    pub(crate) children: SeenChildren,
}

/// Which conditions on children hold for some child, as far as children were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SeenChildren {
    has_type: bool,
    has_label: bool,
    has_attribute: bool,
}

impl<'a> Candidate<'a> {
    /// For filters that look at the resource only.
    pub(crate) fn alone(resource: &'a Resource) -> Self {
        Self { resource, parent: None, children: SeenChildren::default() }
    }
}

impl SeenChildren {
    /// Whether there was one of a wanted type.
    pub(crate) fn has_type(self) -> bool {
        self.has_type
    }
}

/// Filter criteria, checked and ready to be evaluated for many resources.
#[derive(Clone, Debug)]
pub(crate) struct Filter<'c> {
    criteria: &'c FilterCriteria,
    ranges: Ranges,
    labels_query: Option<LabelsQuery>,
    content_query: Option<ContentQuery>,
}

impl<'c> Filter<'c> {
    /// Checks what the decoder leaves open and prepares the evaluation.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a labels query or content query that is none, and for attribute conditions that cannot
    /// hold for any resource because of their form.
    pub(crate) fn compile(criteria: &'c FilterCriteria) -> Result<Self, Error> {
        for (name, conditions) in [
            ("fc/atr", &criteria.attribute),
            ("fc/catr", &criteria.child_attribute),
            ("fc/patr", &criteria.parent_attribute),
        ] {
            for condition in conditions {
                attribute::check(condition).map_err(|problem| Error::parameter(name, problem))?;
            }
        }
        let labels_query = criteria.labels_query.as_deref().map(LabelsQuery::parse).transpose();
        let content_query = criteria.content_filter_query.as_deref().map(ContentQuery::parse).transpose();
        Ok(Self {
            criteria,
            ranges: Ranges::of(criteria),
            labels_query: labels_query.map_err(|problem| Error::parameter("fc/lbq", problem))?,
            content_query: content_query.map_err(|problem| Error::parameter("fc/cfq", problem))?,
        })
    }

    /// The types of which a candidate must have a child, if that is a condition.
    pub(crate) fn child_types(&self) -> Option<&'c [Ty]> {
        let types = self.criteria.child_resource_type.as_slice();
        (!types.is_empty()).then_some(types)
    }

    /// Whether there are conditions on what is in the children.
    pub(crate) fn looks_into_children(&self) -> bool {
        !self.criteria.child_labels.is_empty() || !self.criteria.child_attribute.is_empty()
    }

    /// Whether a candidate must come with its parent.
    pub(crate) fn needs_parent(&self) -> bool {
        let criteria = self.criteria;
        !criteria.parent_labels.is_empty()
            || !criteria.parent_resource_type.is_empty()
            || !criteria.parent_attribute.is_empty()
    }

    /// Notes what a child satisfies.
    pub(crate) fn see_child(&self, seen: &mut SeenChildren, child: &Resource) {
        let criteria = self.criteria;
        seen.has_type |= has_type(child, &criteria.child_resource_type);
        seen.has_label |= has_label(child, &criteria.child_labels);
        seen.has_attribute = seen.has_attribute || has_attribute(child, &criteria.child_attribute);
    }

    /// Whether the resource satisfies the conditions; without any it does.
    pub(crate) fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let (criteria, seen) = (self.criteria, candidate.children);
        let mut verdict = self.judge_without_children(candidate);
        verdict.alternatives(&criteria.child_resource_type, |_| seen.has_type);
        verdict.alternatives(&criteria.child_labels, |_| seen.has_label);
        verdict.alternatives(&criteria.child_attribute, |_| seen.has_attribute);
        verdict.result()
    }

    /// Whether the resource satisfies the conditions, if that is clear whatever else its children are. Their types
    /// come first.
    pub(crate) fn verdict_so_far(&self, candidate: &Candidate<'_>, saw_types: bool) -> Option<bool> {
        let mut verdict = self.judge_without_children(candidate);
        if saw_types {
            verdict.alternatives(&self.criteria.child_resource_type, |_| candidate.children.has_type);
        }
        verdict.decided
    }

    fn judge_without_children(&self, candidate: &Candidate<'_>) -> Verdict {
        let Candidate { resource, parent, .. } = *candidate;
        let criteria = self.criteria;
        let mut verdict = Verdict::new(criteria.operation);
        verdict.alternatives(&criteria.resource_type, |types| has_type(resource, types));
        self.ranges.judge(resource, &mut verdict);
        verdict.alternatives(&criteria.labels, |labels| has_label(resource, labels));
        verdict.condition(self.labels_query.as_ref(), |query| query.matches(|| resource.labels()));
        verdict.alternatives(&criteria.content_type, |types| has_content_type(resource, types));
        verdict.alternatives(&criteria.attribute, |conditions| has_attribute(resource, conditions));
        verdict.condition(self.content_query.as_ref(), |query| query.matches(resource));
        verdict
            .alternatives(&criteria.parent_resource_type, |types| parent.is_some_and(|parent| has_type(parent, types)));
        verdict.alternatives(&criteria.parent_labels, |labels| parent.is_some_and(|parent| has_label(parent, labels)));
        verdict.alternatives(&criteria.parent_attribute, |conditions| {
            parent.is_some_and(|parent| has_attribute(parent, conditions))
        });
        verdict
    }

    /// What a store may evaluate: every resource that matches satisfies all of these clauses.
    pub(crate) fn clauses(&self) -> Vec<Clause> {
        let criteria = self.criteria;
        if criteria.operation == FilterOperation::Or && self.condition_count() > 1 {
            return Vec::new();
        }
        let mut clauses = Vec::new();
        if !criteria.resource_type.is_empty() {
            clauses.push(Clause::Types(criteria.resource_type.clone()));
        }
        if !criteria.labels.is_empty() {
            clauses.push(Clause::Labels(criteria.labels.clone()));
        }
        self.ranges.push_clauses(&mut clauses);
        clauses
    }

    fn condition_count(&self) -> usize {
        let criteria = self.criteria;
        let alternatives = [
            criteria.resource_type.is_empty(),
            criteria.labels.is_empty(),
            criteria.content_type.is_empty(),
            criteria.attribute.is_empty(),
            criteria.parent_resource_type.is_empty(),
            criteria.parent_labels.is_empty(),
            criteria.parent_attribute.is_empty(),
            criteria.child_resource_type.is_empty(),
            criteria.child_labels.is_empty(),
            criteria.child_attribute.is_empty(),
            self.labels_query.is_none(),
            self.content_query.is_none(),
        ];
        alternatives.into_iter().filter(|is_absent| !is_absent).count() + self.ranges.count()
    }
}

fn has_type(resource: &Resource, types: &[Ty]) -> bool {
    types.contains(&resource.ty)
}

fn has_label(resource: &Resource, labels: &[Text]) -> bool {
    resource.labels().any(|label| labels.iter().any(|wanted| wanted == label))
}

/// Compares the media type, which in `cnf` stands before the encoding: `text/plain:0`.
fn has_content_type(resource: &Resource, types: &[Text]) -> bool {
    resource.attributes.text("cnf").is_some_and(|info| {
        let media_type = info.split_once(':').map_or(info, |(media_type, _)| media_type);
        types.iter().any(|wanted| wanted == media_type)
    })
}

fn has_attribute(resource: &Resource, conditions: &[AttributeCondition]) -> bool {
    conditions.iter().any(|condition| attribute::holds(condition, resource))
}

/// Combines conditions; once decided, further ones are not evaluated.
struct Verdict {
    operation: FilterOperation,
    decided: Option<bool>,
    any_condition: bool,
}

impl Verdict {
    fn new(operation: FilterOperation) -> Self {
        Self { operation, decided: None, any_condition: false }
    }

    /// A condition that is there if its list is not empty.
    fn alternatives<T>(&mut self, list: &[T], holds: impl FnOnce(&[T]) -> bool) {
        self.condition((!list.is_empty()).then_some(list), holds);
    }

    fn condition<T>(&mut self, condition: Option<T>, holds: impl FnOnce(T) -> bool) {
        let Some(condition) = condition else { return };
        self.any_condition = true;
        if self.decided.is_none() {
            match (self.operation, holds(condition)) {
                (FilterOperation::And, false) => self.decided = Some(false),
                (FilterOperation::Or, true) => self.decided = Some(true),
                _ => {}
            }
        }
    }

    fn result(self) -> bool {
        self.decided.unwrap_or(self.operation == FilterOperation::And || !self.any_condition)
    }
}

#[cfg(test)]
mod tests;
