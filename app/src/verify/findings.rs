//! What was found: suspicions, which may be of something that is on its way, and
//! findings, which are not.

use std::{collections::BTreeMap, fmt, mem, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

/// What must hold, in the words in which it is reported.
pub(super) type Rule = &'static str;

/// Offenders that are named; the others are counted.
const NAMED: usize = 10;
/// Suspicions of a rule that are followed at one time.
const FOLLOWED: usize = 10_000;

/// One invariant, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What must hold.
    pub invariant: &'static str,
    /// Where it does not: the first ten; empty when it holds.
    pub offences: Vec<String>,
    /// In how many places it does not.
    pub count: usize,
}

impl Finding {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, offence: String) {
        self.count += 1;
        if self.offences.len() < NAMED {
            self.offences.push(offence);
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, offences, count } = self;
        if self.holds() {
            return write!(f, "✓ {invariant}");
        }
        write!(f, "✗ {invariant}: {}", offences.join("; "))?;
        match count - offences.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What a suspicion is about, and by which ids it is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// An order, a member or a product.
    Entity(&'static str, Uuid),
    /// An event of a service that has no position.
    Event(&'static str, i64),
    /// What is looked at again anyhow.
    Other(String),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(kind, id) => write!(f, "{kind} {id}"),
            Self::Event(service, id) => write!(f, "event {id} of {service}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// How something looks wrong.
#[derive(Debug)]
struct Look {
    /// As long as this is the same, nothing has changed.
    state: String,
    /// How many times the patience it may stand still.
    times: u32,
}

/// What one look at everything, or at some of it, has found.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    certain: Vec<(Rule, String)>,
    looks: BTreeMap<Rule, BTreeMap<About, Look>>,
    /// There were more than can be followed.
    overflow: bool,
}

impl Suspicions {
    /// It is wrong, whatever is on its way.
    pub(super) fn certain(&mut self, rule: Rule, offence: String) {
        self.certain.push((rule, offence));
    }

    /// It looks wrong, and is when that stands still.
    pub(super) fn suspect(&mut self, rule: Rule, about: About, state: String) {
        self.add(rule, about, state, 1);
    }

    /// It is on its way, and may be so for a minute.
    pub(super) fn under_way(&mut self, rule: Rule, about: About, state: String) {
        self.add(rule, about, state, 2);
    }

    fn add(&mut self, rule: Rule, about: About, state: String, times: u32) {
        let looks = self.looks.entry(rule).or_default();
        if looks.len() < FOLLOWED || looks.contains_key(&about) {
            looks.insert(about, Look { state, times });
        } else {
            self.overflow = true;
        }
    }
}

/// Something that looks wrong, for how long, and for how long it has not changed.
#[derive(Debug)]
struct Followed {
    look: Look,
    first: Instant,
    since: Instant,
}

/// Follows what looks wrong until it has changed or stood still.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Duration,
    followed: BTreeMap<(Rule, About), Followed>,
    findings: BTreeMap<Rule, Finding>,
    overflow: bool,
}

impl Watch {
    /// How many times its patience something may look wrong, each time in another way.
    const AT_MOST: u32 = 10;

    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, followed: BTreeMap::new(), findings: BTreeMap::new(), overflow: false }
    }

    /// Takes in a look at everything.
    pub(super) fn begin(&mut self, found: Suspicions, now: Instant) {
        for (rule, offence) in found.certain {
            self.report(rule, offence);
        }
        self.overflow = found.overflow;
        for (rule, looks) in found.looks {
            for (about, look) in looks {
                let followed = Followed { look, first: now, since: now };
                self.followed.entry((rule, about)).or_insert(followed);
            }
        }
        self.give_up(now);
    }

    /// Takes in another look at what is followed.
    pub(super) fn look_again(&mut self, mut found: Suspicions, now: Instant) {
        self.followed.retain(|(rule, about), followed| {
            let Some(look) = found.looks.get_mut(rule).and_then(|looks| looks.remove(about)) else {
                return false;
            };
            if look.state != followed.look.state {
                followed.since = now;
            }
            followed.look = look;
            true
        });
        self.give_up(now);
    }

    /// Reports what has stood still for too long.
    fn give_up(&mut self, now: Instant) {
        let patience = self.patience;
        let over = |followed: &Followed| {
            let patience = patience * followed.look.times;
            now - followed.since >= patience || now - followed.first >= patience * Self::AT_MOST
        };
        let (stood_still, followed) =
            mem::take(&mut self.followed).into_iter().partition(|(_, followed)| over(followed));
        self.followed = followed;
        let stood_still: BTreeMap<(Rule, About), Followed> = stood_still;
        for ((rule, about), followed) in stood_still {
            self.report(rule, format!("{about} {}", followed.look.state));
        }
    }

    fn report(&mut self, rule: Rule, offence: String) {
        let finding = self.findings.entry(rule).or_insert_with(|| Finding {
            invariant: rule,
            offences: Vec::new(),
            count: 0,
        });
        finding.add(offence);
    }

    /// How much is followed.
    pub(super) fn len(&self) -> usize {
        self.followed.len()
    }

    /// Whether there was more to be followed than can be, all of which was well in the end: then
    /// nobody knows about the rest.
    pub(super) fn has_to_begin_anew(&self) -> bool {
        self.overflow && self.findings.is_empty()
    }

    /// What is followed, by id.
    pub(super) fn ids(&self) -> Vec<Uuid> {
        let id = |about: &About| match about {
            About::Entity(_, id) => Some(*id),
            About::Event(..) | About::Other(_) => None,
        };
        self.followed.keys().filter_map(|(_, about)| id(about)).collect()
    }

    /// The first event of a service that is followed.
    pub(super) fn first_event(&self, service: &str) -> Option<i64> {
        let id = |about: &About| match about {
            About::Event(of, id) if *of == service => Some(*id),
            About::Entity(..) | About::Event(..) | About::Other(_) => None,
        };
        self.followed.keys().filter_map(|(_, about)| id(about)).min()
    }

    /// A finding for each rule, in their order.
    pub(super) fn findings(mut self, rules: impl Iterator<Item = Rule>) -> Vec<Finding> {
        let holds = |invariant| Finding { invariant, offences: Vec::new(), count: 0 };
        rules.map(|rule| self.findings.remove(rule).unwrap_or_else(|| holds(rule))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WET: Rule = "water is wet";

    fn dry(id: u128, state: &str) -> Suspicions {
        let mut found = Suspicions::default();
        found.suspect(WET, About::Entity("water", Uuid::from_u128(id)), state.to_owned());
        found
    }

    fn found(watch: Watch) -> usize {
        watch.findings([WET].into_iter())[0].count
    }

    #[test]
    fn a_finding_is_one_line_that_names_the_first_offenders() {
        let mut finding = Finding { invariant: WET, offences: Vec::new(), count: 0 };
        assert_eq!(finding.to_string(), "✓ water is wet");
        (0..12).for_each(|at| finding.add(at.to_string()));
        let line = "✗ water is wet: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more";
        assert_eq!(finding.to_string(), line);
    }

    #[test]
    fn what_stands_still_is_found_and_what_changes_is_not() {
        let patience = Duration::from_secs(30);
        let (mut watch, start) = (Watch::new(patience), Instant::now());
        watch.begin(dry(1, "is dry"), start);
        watch.look_again(dry(1, "is dry"), start + patience / 2);
        watch.look_again(dry(1, "is damp"), start + patience);
        assert_eq!(watch.len(), 1, "it has changed, and looks wrong all the same");
        // What was not followed is not followed from now on.
        watch.look_again(dry(2, "is dry"), start + patience);
        assert_eq!((watch.len(), found(watch)), (0, 0));

        let mut watch = Watch::new(patience);
        watch.begin(dry(1, "is dry"), start);
        watch.look_again(dry(1, "is dry"), start + patience);
        assert_eq!((watch.len(), found(watch)), (0, 1));
    }

    #[test]
    fn what_looks_wrong_in_ever_other_ways_is_found_in_the_end() {
        let patience = Duration::from_secs(30);
        let (mut watch, start) = (Watch::new(patience), Instant::now());
        watch.begin(dry(1, "0"), start);
        for look in 1..=20 {
            watch.look_again(dry(1, &look.to_string()), start + patience / 2 * look);
        }
        assert_eq!(found(watch), 1);
    }

    #[test]
    fn without_patience_everything_counts_at_once() {
        let mut watch = Watch::new(Duration::ZERO);
        watch.begin(dry(1, "is dry"), Instant::now());
        assert_eq!((watch.len(), found(watch)), (0, 1));
    }

    #[test]
    fn what_is_too_much_to_be_followed_is_looked_at_anew() {
        let mut many = Suspicions::default();
        for id in 0..=FOLLOWED {
            many.suspect(WET, About::Other(id.to_string()), String::new());
        }
        let mut watch = Watch::new(Duration::from_secs(30));
        watch.begin(many, Instant::now());
        assert_eq!((watch.len(), watch.has_to_begin_anew()), (FOLLOWED, true));
        watch.begin(Suspicions::default(), Instant::now());
        assert!(!watch.has_to_begin_anew());
    }
}
