//! One question and its answer, in the scratch memory of the program that carries them: read the
//! question, try the sandbox's scopes in order, write the answer.
//!
//! The steps leave their results in the scratch memory, and the BPF program looks that up anew for
//! each: then the verifier takes the lengths for unknown numbers once, instead of walking the rest
//! of the program for each of 129 name lengths (measured: 123,000 instructions before, 36,000 now).

use super::{
    answer::answer,
    message::{Message, clear_after, clear_last_word},
    question::{self, Question, question},
};
use crate::{
    abi::name::{Name, NameKey, Scopes},
    limits::{MAX_DNS_MESSAGE, MAX_SCOPES},
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
    /// Octets of `message` that are the message.
    pub len: u16,
    /// Which answer on this CPU chose the first address last, in steps of [`TURN`].
    pub turn: u32,
}

/// The golden ratio of the 32-bit range: its multiples spread evenly, for any number of addresses
/// (Weyl's equidistribution), so each of them comes first equally often, also in few answers. Drawn by
/// lot, one of eight would often be first a fifth too seldom in a thousand.
pub const TURN: u32 = 0x9e37_79b9;

impl Exchange {
    /// The message's length as a helper's argument: 1 to [`MAX_DNS_MESSAGE`]. Cut out of `len`
    /// rather than compared, since kernels before 6.3 forget a comparison where LLVM keeps its
    /// subject on the stack.
    pub fn octets(&self) -> u32 {
        (u32::from(self.len).wrapping_sub(1) & (MAX_DNS_MESSAGE as u32 - 1)) + 1
    }

    /// The same, rounded up to whole words of four octets.
    pub fn words(&self) -> u32 {
        (u32::from(self.len).wrapping_sub(1) & (MAX_DNS_MESSAGE as u32 - 4)) + 4
    }

    /// Chooses the address that comes first in the next answer, for [`Exchange::answer`].
    pub fn next_turn(&mut self) -> u32 {
        self.turn = self.turn.wrapping_add(TURN);
        self.turn
    }

    /// Step 1, before a question of `len` octets is copied into `message`. `None` here and below:
    /// the question is the agent's.
    pub fn expect(&mut self, len: usize) -> Option<()> {
        clear_last_word(&mut self.message, len)?;
        self.len = len as u16;
        Some(())
    }

    /// Step 2: reads the name in `message`.
    pub fn read_name(&mut self) -> Option<()> {
        self.question.name_len = question::name(&self.message, &mut self.key.name)?;
        Some(())
    }

    /// Step 3: reads the question in `message`.
    pub fn read_question(&mut self) -> Option<()> {
        let len = usize::from(self.len);
        self.question = question(&self.message, len, self.question.name_len)?;
        Some(())
    }

    /// Step 4: answers in `message`, from the first of `scopes` that has the name. `random` chooses
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
        let len = answer(&mut self.message, &self.question, found, random)?;
        clear_after(&mut self.message, len)?;
        self.len = len as u16;
        core::ptr::eq(place, names.name(&self.key)?).then_some(())
    }
}

const _: () = assert!(MAX_DNS_MESSAGE.is_power_of_two());
