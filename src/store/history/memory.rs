//! The lines of the history in memory, found by id, by user and by owner, and shared fairly.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::iter::Peekable;
use std::ops::Deref;
use std::sync::Arc;

use crate::protocol::{Cause, Unlink, UserId};
use crate::store::line::Line;

/// A line of so many bytes counts as one, a longer one as several: the limit bounds bytes, too.
const ONE_LINE: usize = 4096;

/// How many ids of forgotten lines are remembered, so that a reader whose page ended at one can go on.
const FORGOTTEN: usize = 1024;

/// The place of a line: newer ones have higher numbers.
type Place = u64;

/// The uid that had created the session; `None` for lines that are not understood.
type Owner = Option<u32>;

/// The lines in memory. When there are too many, the owner with the most loses one.
#[derive(Debug)]
pub(super) struct Memory {
    limit: u64,
    next: Place,
    lines: BTreeMap<Place, Kept>,
    weight: u64,
    by_id: HashMap<String, Place>,
    by_user: BTreeSet<(UserId, u32, Place)>,
    shares: HashMap<Owner, Share>,
    /// The owners by their weight; among equals the one with the oldest line is last.
    ranks: BTreeSet<(u64, Reverse<Place>, Owner)>,
    forgotten: VecDeque<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Kept {
    Line(Arc<Weighed>),
    /// A line of a newer version, or a damaged one. It is kept, although this version cannot parse it.
    Strange(Arc<str>),
}

/// A line, and what it counts for.
#[derive(Debug)]
pub(super) struct Weighed {
    line: Line,
    pub(super) weight: u64,
}

impl Weighed {
    /// A line of so many bytes.
    pub(super) fn new(line: Line, bytes: usize) -> Self {
        let weight = weight(bytes);
        Self { line, weight }
    }
}

impl Deref for Weighed {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

/// The lines of one owner.
#[derive(Debug, Default)]
struct Share {
    weight: u64,
    /// Unfinished pairings: they go first.
    pairings: BTreeSet<Place>,
    ends: BTreeSet<Place>,
}

impl Kept {
    fn owner(&self) -> Owner {
        match self {
            Self::Line(line) => Some(line.entry.owner),
            Self::Strange(_) => None,
        }
    }

    fn is_unfinished_pairing(&self) -> bool {
        matches!(self, Self::Line(line) if is_unfinished_pairing(line))
    }
}

/// Whether nobody had ever linked the session that ended. Where the account cannot be opened, there was one.
fn is_unfinished_pairing(line: &Line) -> bool {
    let entry = &line.entry;
    let is_given_up = match entry.cause {
        Cause::PasskeyRequired => true,
        Cause::ForceLogout => entry.unlink == Unlink::NotLinked,
        _ => entry.ends_a_pairing(),
    };
    is_given_up && !line.is_locked() && entry.account.is_none() && entry.appeal_token.is_none()
}

/// What a line of so many bytes weighs.
pub(super) fn weight(bytes: usize) -> u64 {
    bytes.div_ceil(ONE_LINE).max(1) as u64
}

impl Share {
    fn lines(&mut self, is_pairing: bool) -> &mut BTreeSet<Place> {
        if is_pairing {
            &mut self.pairings
        } else {
            &mut self.ends
        }
    }

    fn oldest(&self) -> Option<Place> {
        let firsts = self.pairings.first().into_iter().chain(self.ends.first());
        firsts.min().copied()
    }

    /// The line that goes next, of those other than this one.
    fn dispensable(&self, newest: Place) -> Option<Place> {
        let firsts = self.pairings.first().into_iter().chain(self.ends.first());
        firsts.copied().find(|place| *place != newest)
    }
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: to_weight(limit),
            next: 0,
            lines: BTreeMap::new(),
            weight: 0,
            by_id: HashMap::new(),
            by_user: BTreeSet::new(),
            shares: HashMap::new(),
            ranks: BTreeSet::new(),
            forgotten: VecDeque::new(),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = to_weight(limit);
        self.trim();
    }

    /// Adds the newest line.
    pub(super) fn push(&mut self, kept: Kept) {
        let place = self.next;
        self.next += 1;
        if let Kept::Line(line) = &kept {
            self.by_id.insert(line.id.clone(), place);
            let entry = &line.entry;
            self.by_user
                .insert((entry.user.clone(), entry.owner, place));
        }
        self.weigh(&kept, |share, is_pairing, weight| {
            share.weight += weight;
            share.lines(is_pairing).insert(place);
        });
        self.weight += kept.weight();
        self.lines.insert(place, kept);
        self.trim();
    }

    fn trim(&mut self) {
        // The newest line always stays: a client that hears of an end finds it in the history.
        while self.weight > self.limit
            && let Some(place) = self.dispensable()
        {
            self.remove(place);
        }
    }

    fn dispensable(&self) -> Option<Place> {
        let newest = *self.lines.last_key_value()?.0;
        let owners = self.ranks.iter().rev().map(|(_, _, owner)| owner);
        let mut shares = owners.filter_map(|owner| self.shares.get(owner));
        shares.find_map(|share| share.dispensable(newest))
    }

    fn remove(&mut self, place: Place) {
        let Some(kept) = self.lines.remove(&place) else {
            return;
        };
        self.weight -= kept.weight();
        self.weigh(&kept, |share, is_pairing, weight| {
            share.weight -= weight;
            share.lines(is_pairing).remove(&place);
        });
        let Kept::Line(line) = kept else { return };
        let entry = &line.entry;
        self.by_user
            .remove(&(entry.user.clone(), entry.owner, place));
        if self.by_id.get(&line.id) != Some(&place) {
            // A newer line has its id.
            return;
        }
        self.forgotten.push_back(line.id.clone());
        if self.forgotten.len() > FORGOTTEN
            && let Some(id) = self.forgotten.pop_front()
            && self
                .by_id
                .get(&id)
                .is_some_and(|place| !self.lines.contains_key(place))
        {
            self.by_id.remove(&id);
        }
    }

    /// Changes its owner's share, and the owner's rank by it.
    fn weigh(&mut self, kept: &Kept, change: impl FnOnce(&mut Share, bool, u64)) {
        let owner = kept.owner();
        let share = self.shares.entry(owner).or_default();
        if let Some(oldest) = share.oldest() {
            self.ranks.remove(&(share.weight, Reverse(oldest), owner));
        }
        change(share, kept.is_unfinished_pairing(), kept.weight());
        if let Some(oldest) = share.oldest() {
            self.ranks.insert((share.weight, Reverse(oldest), owner));
        } else {
            self.shares.remove(&owner);
        }
    }

    // ---- look-ups -----------------------------------------------------------------------------------

    /// Whether the line of this removal is there, or was not long ago.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Lines older than that of this removal, newest first; `None`: all. For an unknown removal there are
    /// none.
    pub(super) fn before<'a>(
        &'a self,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Line> + use<'a> {
        self.at(self
            .lines
            .range(..self.end(id))
            .rev()
            .map(|(place, _)| *place))
    }

    /// The same, of one user only, and of one owner only.
    pub(super) fn select<'a>(
        &'a self,
        id: Option<&str>,
        user: Option<&UserId>,
        owner: Option<u32>,
    ) -> Box<dyn Iterator<Item = &'a Line> + 'a> {
        let end = self.end(id);
        match (user, owner) {
            (None, None) => Box::new(self.before(id)),
            (Some(user), Some(owner)) => Box::new(self.at(self.of_user(user, owner, end))),
            (Some(user), None) => {
                let owners = self.owners_of(user);
                let parts = owners.map(|owner| self.of_user(user, owner, end));
                Box::new(self.at(merge(parts.collect())))
            }
            (None, Some(owner)) => {
                let share = self.shares.get(&Some(owner));
                let sets = share.map(|share| [&share.pairings, &share.ends]);
                let sets = sets.into_iter().flatten();
                let parts = sets.map(|set| set.range(..end).rev().copied());
                Box::new(self.at(merge(parts.collect())))
            }
        }
    }

    /// The newest line of a user among those whose owner `may_see` accepts.
    pub(super) fn last_of(&self, user: &UserId, may_see: impl Fn(u32) -> bool) -> Option<&Line> {
        let owners = self.owners_of(user).filter(|owner| may_see(*owner));
        let newest = owners.filter_map(|owner| self.of_user(user, owner, Place::MAX).next());
        self.at(newest.max().into_iter()).next()
    }

    fn owners_of<'a>(&'a self, user: &UserId) -> impl Iterator<Item = u32> + use<'a> {
        let user = user.clone();
        let next = move |from: u32| {
            let rest = self.by_user.range((user.clone(), from, 0)..);
            let mut of_user = rest.take_while(|(of, _, _)| *of == user);
            of_user.next().map(|(_, owner, _)| *owner)
        };
        std::iter::successors(next(0), move |owner| owner.checked_add(1).and_then(&next))
    }

    fn of_user<'a>(
        &'a self,
        user: &UserId,
        owner: u32,
        end: Place,
    ) -> impl Iterator<Item = Place> + use<'a> {
        let from = (user.clone(), owner, 0);
        let to = (user.clone(), owner, end);
        self.by_user
            .range(from..to)
            .rev()
            .map(|(_, _, place)| *place)
    }

    fn end(&self, id: Option<&str>) -> Place {
        id.map_or(self.next, |id| self.by_id.get(id).copied().unwrap_or(0))
    }

    fn at<'a>(
        &'a self,
        places: impl Iterator<Item = Place> + 'a,
    ) -> impl Iterator<Item = &'a Line> + 'a {
        places.filter_map(|place| match self.lines.get(&place)? {
            Kept::Line(line) => Some(&line.line),
            Kept::Strange(_) => None,
        })
    }

    /// At most `most` lines from this place on, the oldest first, and the place after them. The file is
    /// copied in such pieces, so that nobody waits for long.
    pub(super) fn slice(&self, from: Place, most: usize) -> (Vec<Kept>, Place) {
        let lines: Vec<_> = self.lines.range(from..).take(most).collect();
        let end = lines.last().map_or(from, |(place, _)| **place + 1);
        (
            lines.into_iter().map(|(_, kept)| kept.clone()).collect(),
            end,
        )
    }
}

impl Kept {
    fn weight(&self) -> u64 {
        match self {
            Self::Line(line) => line.weight,
            Self::Strange(text) => weight(text.len()),
        }
    }
}

fn to_weight(limit: usize) -> u64 {
    limit.max(1) as u64
}

/// All of them, each being sorted with the highest first, in that order.
fn merge<I: Iterator<Item = Place>>(parts: Vec<I>) -> impl Iterator<Item = Place> {
    let mut parts: Vec<Peekable<I>> = parts.into_iter().map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let next = parts.iter_mut().enumerate();
        let next = next.filter_map(|(n, part)| Some((*part.peek()?, n)));
        let (_, n) = next.max()?;
        parts[n].next()
    })
}
