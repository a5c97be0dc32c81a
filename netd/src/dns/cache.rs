//! What upstreams answered, kept for as long as the records' times to live say (RFC 2181 section 8)
//! or, of names and types that do not exist, as RFC 2308 says. Holds bytes as they came; asks nobody.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Header, MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType, rdata::opt::EdnsCode},
    serialize::binary::{BinDecodable, BinDecoder, DecodeError},
};
use quick_cache::sync::Cache as Answers;

use super::{
    limits::{MAX_CACHED, MAX_CACHED_ANSWER, MAX_KEPT, MAX_KEPT_NEGATIVE},
    message::Question,
    upstreams::Upstreams,
};
use crate::model::WireName;

/// Answers by question and upstreams; at most [`MAX_CACHED`], of which those that are asked for
/// often stay (CLOCK-PRO: a client that asks for ever new names does not drive them out).
#[derive(Debug)]
pub struct Cache(Answers<Key, Arc<Kept>>);

/// What has to be the same for an answer to serve another question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    upstreams: Arc<Upstreams>,
    name: WireName,
    record_type: u16,
    flags: Flags,
}

/// What of a question's header and OPT record changes the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flags {
    recursion: bool,
    checking_disabled: bool,
    authentic: bool,
    /// There is an OPT record, with or without DO.
    edns: Option<bool>,
}

#[derive(Debug, PartialEq, Eq)]
struct Kept {
    answer: Vec<u8>,
    /// Where in `answer` times to live are: four octets each, seconds.
    ttls: Vec<u16>,
    since: Instant,
    lifetime: Duration,
}

impl Key {
    /// `None` where an answer must serve nobody else: other classes than IN, and options of EDNS
    /// that mean the client itself (a client subnet, say). A cookie or padding is between neighbours.
    pub fn of(question: &Question, upstreams: &Arc<Upstreams>) -> Option<Key> {
        if question.query.query_class() != DNSClass::IN {
            return None;
        }
        let edns = question.edns.as_ref();
        let mut options = edns.into_iter().flat_map(|edns| &edns.options().options);
        let between_neighbours = |code: &EdnsCode| {
            matches!(
                code,
                EdnsCode::Cookie | EdnsCode::Padding | EdnsCode::Keepalive
            )
        };
        if !options.all(|(code, _)| between_neighbours(code)) {
            return None;
        }
        let asked = question.metadata();
        Some(Key {
            upstreams: upstreams.clone(),
            name: question.name.clone(),
            record_type: question.query.query_type().into(),
            flags: Flags {
                recursion: asked.recursion_desired,
                checking_disabled: asked.checking_disabled,
                authentic: asked.authentic_data,
                edns: edns.map(|edns| edns.flags().dnssec_ok),
            },
        })
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache(Answers::new(MAX_CACHED))
    }
}

impl Cache {
    /// The answer as it is by now: its times to live have run on. Id and question are those of
    /// whoever asked first.
    pub fn get(&self, key: &Key, now: Instant) -> Option<Vec<u8>> {
        let kept = self.0.get(key)?;
        let age = now.saturating_duration_since(kept.since);
        if age >= kept.lifetime {
            self.0.remove_if(key, |found| Arc::ptr_eq(found, &kept));
            return None;
        }
        let mut answer = kept.answer.clone();
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        for at in &kept.ttls {
            if let Some(ttl) = answer
                .get_mut(usize::from(*at)..)
                .and_then(<[u8]>::first_chunk_mut)
            {
                *ttl = u32::from_be_bytes(*ttl).saturating_sub(age).to_be_bytes();
            }
        }
        Some(answer)
    }

    /// Keeps an answer that belongs to the key's question, if it may be kept.
    pub fn keep(&self, key: Key, answer: &[u8], now: Instant) {
        if let Some(kept) = kept(answer, key.record_type.into(), now) {
            self.0.insert(key, Arc::new(kept));
        }
    }

    /// Answers that are kept, those included that have run out and were not asked for since.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

/// What of an answer may be kept: `None` for errors, for what is cut off, for what has no time to
/// live, and for anything out of the ordinary.
fn kept(answer: &[u8], asked: RecordType, now: Instant) -> Option<Kept> {
    if answer.len() > MAX_CACHED_ANSWER {
        return None;
    }
    let read = Read::new(answer, asked).ok().flatten()?;
    let lifetime = if read.positive {
        Duration::from_secs(read.least.into()).min(MAX_KEPT)
    } else {
        // Without a SOA record nobody says for how long (RFC 2308 section 5).
        let seconds = read.least.min(read.negative?);
        Duration::from_secs(seconds.into()).min(MAX_KEPT_NEGATIVE)
    };
    let answer = read.without_options(answer)?;
    (!lifetime.is_zero()).then_some(Kept {
        answer,
        ttls: read.ttls,
        since: now,
        lifetime,
    })
}

/// An answer as the cache looks at it.
struct Read {
    ttls: Vec<u16>,
    /// The smallest time to live.
    least: u32,
    /// There is a record of the type asked for.
    positive: bool,
    /// What the SOA record says of names that do not exist.
    negative: Option<u32>,
    /// Where the OPT record is, and where it ends.
    opt: Option<(usize, usize)>,
}

impl Read {
    /// `None` for what is never kept, whatever its records say.
    fn new(answer: &[u8], asked: RecordType) -> Result<Option<Read>, DecodeError> {
        let mut decoder = BinDecoder::new(answer);
        let Header { metadata, counts } = Header::read(&mut decoder)?;
        let exists = match metadata.response_code {
            ResponseCode::NoError => true,
            ResponseCode::NXDomain => false,
            _ => return Ok(None),
        };
        let whole = !metadata.truncation && counts.queries == 1;
        if metadata.message_type != MessageType::Response || !whole {
            return Ok(None);
        }
        Query::read(&mut decoder)?;
        let mut read = Read {
            ttls: Vec::new(),
            least: u32::MAX,
            positive: false,
            negative: None,
            opt: None,
        };
        let [answers, authorities, additionals] =
            [counts.answers, counts.authorities, counts.additionals].map(usize::from);
        for number in 0..answers + authorities + additionals {
            let record_type = read.record(&mut decoder, number < answers + authorities)?;
            let is_answer = number < answers;
            read.positive |=
                is_answer && exists && (record_type == asked || asked == RecordType::ANY);
        }
        Ok(decoder.is_empty().then_some(read))
    }

    /// Reads one record. `counts`: it is not in the additional section, whose records only come along.
    fn record(
        &mut self,
        decoder: &mut BinDecoder<'_>,
        counts: bool,
    ) -> Result<RecordType, DecodeError> {
        let start = decoder.index();
        Name::read(decoder)?;
        let record_type = RecordType::from(decoder.read_u16()?.unverified());
        let _class = decoder.read_u16()?.unverified();
        let at = decoder.index();
        // The highest bit means nothing good (RFC 2181 section 8).
        let ttl = i32::from_be_bytes(decoder.read_u32()?.unverified().to_be_bytes()).max(0);
        let ttl = u32::try_from(ttl).unwrap_or_default();
        let length = usize::from(decoder.read_u16()?.unverified());
        let data = decoder.read_slice(length)?.unverified();
        if record_type == RecordType::OPT {
            self.opt = Some((start, decoder.index()));
            return Ok(record_type);
        }
        self.ttls.extend(u16::try_from(at));
        self.least = self.least.min(ttl);
        if let (RecordType::SOA, true, Some(minimum)) = (record_type, counts, data.last_chunk()) {
            self.negative = Some(u32::from_be_bytes(*minimum).min(ttl));
        }
        Ok(record_type)
    }

    /// The answer without the options of its OPT record, which are for whoever asked first.
    /// `None` where that record is not the last.
    fn without_options(&self, answer: &[u8]) -> Option<Vec<u8>> {
        /// Octets of an OPT record before its options: root label, type, size, flags, length.
        const OPT: usize = 11;
        let Some((start, end)) = self.opt else {
            return Some(answer.to_owned());
        };
        if end != answer.len() {
            return None;
        }
        let mut answer = answer.get(..start + OPT)?.to_owned();
        *answer.last_chunk_mut()? = [0, 0];
        Some(answer)
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
