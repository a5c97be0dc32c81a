//! One question and its answer, in the scratch memory of the program that carries them: read the
//! question, try the sandbox's scopes in order, write the answer.

use super::{
    answer::answer,
    message::Message,
    question::{Question, question},
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
}

impl Exchange {
    /// Reads the question of `len` octets in `message`. `false`: it is the agent's.
    pub fn read(&mut self, len: usize) -> bool {
        match question(&self.message, len, &mut self.key.name) {
            Some(read) => {
                self.question = read;
                true
            }
            None => false,
        }
    }

    /// Answers what [`Exchange::read`] has read, from the first of `scopes` that has the name; the
    /// answer's length in `message`. `None`: the agent's.
    ///
    /// The kernel gives the memory of a replaced entry to the next one at once, so an entry may
    /// change while it is read. Hence the second look-up: where the name is now elsewhere or gone,
    /// what was read is not to be trusted.
    pub fn answer(
        &mut self,
        scopes: &Scopes,
        names: &mut impl Names,
        random: u32,
    ) -> Option<usize> {
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
        let len = answer(&mut self.message, &self.question, found, random)?;
        core::ptr::eq(place, names.name(&self.key)?).then_some(len)
    }
}
