//! What an upstream sends: whether it is an answer, what is kept of it, what goes back to the client.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use netd::dns::{
    Upstreams,
    cache::{Cache, Key},
    limits::{MAX_CACHED_ANSWER, MAX_KEPT},
    message::Question,
};

/// The question that was asked, with and without EDNS.
fn asked() -> &'static [Question; 2] {
    static ASKED: OnceLock<[Question; 2]> = OnceLock::new();
    ASKED.get_or_init(|| {
        [false, true].map(|edns| {
            let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
            message.metadata.recursion_desired = true;
            let name = Name::from_ascii("www.example.test.").expect("a name");
            message.add_query(Query::query(name, RecordType::A));
            if edns {
                message.set_edns(Edns::new());
            }
            let bytes = message.to_vec().expect("it encodes");
            Question::read(&bytes).expect("a question")
        })
    })
}

/// What is not an answer to the question is not taken; what is taken has the client's id and question,
/// fits its transport, and is forgotten in time.
pub fn answer(bytes: &[u8]) {
    let now = Instant::now();
    for question in asked() {
        if !question.is_answered_by(bytes) {
            continue;
        }
        let key = Key::of(question, &Arc::new(Upstreams::default())).expect("an ordinary question");
        let cache = Cache::default();
        cache.keep(key.clone(), bytes, now);
        for age in [0, 1, 299, 86_399] {
            if let Some(kept) = cache.get(&key, now + Duration::from_secs(age)) {
                assert!(kept.len() <= bytes.len().min(MAX_CACHED_ANSWER));
                assert!(question.is_answered_by(&kept), "what is kept is an answer");
            }
        }
        assert_eq!(cache.get(&key, now + MAX_KEPT), None, "kept too long");
        let mut own = bytes.to_vec();
        question.own(&mut own);
        assert!(question.is_answered_by(&own));
        assert_eq!(own.first_chunk::<2>(), question.message.first_chunk());
        let fit = question.fit(own);
        assert!(fit.len() <= question.udp_limit());
        assert_eq!(fit.first_chunk::<2>(), question.message.first_chunk());
    }
}
