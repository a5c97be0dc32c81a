//! One question and its answer, in the scratch memory of the program that carries them: read the
//! question, try the sandbox's scopes in order, write the answer.
//!
//! The steps leave their results in the scratch memory, and the BPF program looks that up anew for
//! each: then the verifier takes the lengths for unknown numbers once, instead of walking the rest
//! of the program for each of 129 name lengths (measured: 123,000 instructions before, 29,000 now).

use super::{
    answer::answer,
    message::Message,
    question::{self, Question, question},
};
use crate::{
    abi::name::{Name, NameKey, Scopes},
    limits::MAX_SCOPES,
};

/// The names map, as BPF and host have it.
pub trait Names {
    /// The entry with this key (`NAMES`).
    fn name(&mut self, key: &NameKey) -> Option<&Name>;
}

/// Scratch memory of one exchange: too large for a BPF stack of 512 octets.
#[repr(C)]
pub struct Exchange {
    /// The question, then the answer.
    pub message: Message,
    /// The name asked for.
    pub key: NameKey,
    /// What is asked of it.
    pub question: Question,
    /// Octets of the answer in `message`.
    pub answer_len: u16,
}

impl Exchange {
    /// Step 1: reads the name in `message`. `None` here and below: the question is the agent's.
    pub fn read_name(&mut self) -> Option<()> {
        self.question.name_len = question::name(&self.message, &mut self.key.name)?;
        Some(())
    }

    /// Step 2: reads the question in `message`, which has `len` octets.
    pub fn read_question(&mut self, len: usize) -> Option<()> {
        self.question = question(&self.message, len, self.question.name_len)?;
        Some(())
    }

    /// Step 3: answers in `message`, from the first of `scopes` that has the name. `random` chooses
    /// which address comes first.
    ///
    /// The kernel gives the memory of a replaced entry to the next one at once, so an entry may
    /// change while it is read. Hence the second look-up: where the name is now elsewhere or gone,
    /// what was read is not to be trusted.
    pub fn answer(&mut self, scopes: &Scopes, names: &mut impl Names, random: u32) -> Option<()> {
        self.key.reserved = [0; 3];
        let mut found = None;
        for (i, scope) in scopes.scopes.iter().enumerate().take(MAX_SCOPES) {
            if i >= scopes.count as usize {
                break;
            }
            self.key.scope = *scope;
            found = names.name(&self.key);
            if found.is_some() {
                break;
            }
        }
        let found = found?;
        let place = core::ptr::from_ref(found);
        self.answer_len = answer(&mut self.message, &self.question, found, random)? as u16;
        core::ptr::eq(place, names.name(&self.key)?).then_some(())
    }
}
