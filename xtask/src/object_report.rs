//! Reads a BPF object: which programs it has, how large they are, and whether a panic survived in
//! it. Knows ELF; never loads anything into the kernel.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// A BPF instruction, in bytes (`struct bpf_insn`).
const INSTRUCTION: u64 = 8;

/// A function of the object.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    section: String,
    bytes: u64,
}

impl Function {
    /// What lies in `.text` is called by programs and is none itself.
    fn is_program(&self) -> bool {
        self.section != ".text"
    }
}

/// Prints each program's section and size, and refuses an object with a panic in it: the verifier
/// would refuse it too, but with a message that names nothing.
pub fn check(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (functions, panics) = read(&bytes).with_context(|| format!("in {}", path.display()))?;
    if !panics.is_empty() {
        bail!(
            "{} holds panics, which the kernel refuses: {}\n\
             An index, a slice or an arithmetic operation that can fail is left in a program; use \
             `get`, `first_chunk`, `checked_` or `wrapping_` there.",
            path.display(),
            panics.join(", ")
        );
    }
    if !functions.iter().any(Function::is_program) {
        bail!("{} holds no program", path.display());
    }
    Ok(table(&functions))
}

/// All functions by section and name, and the names of those that panic.
fn read(bytes: &[u8]) -> Result<(Vec<Function>, Vec<String>)> {
    let file = object::File::parse(bytes).context("no ELF object")?;
    let mut functions = Vec::new();
    let mut panics = Vec::new();
    for symbol in file.symbols() {
        let name = symbol.name().context("symbol without a name")?;
        if name.contains("panicking") {
            panics.push(name.to_owned());
        }
        if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let Some(index) = symbol.section_index() else {
            continue;
        };
        functions.push(Function {
            name: name.to_owned(),
            section: file.section_by_index(index)?.name()?.to_owned(),
            bytes: symbol.size(),
        });
    }
    functions.sort_by(|a, b| (&a.section, &a.name).cmp(&(&b.section, &b.name)));
    Ok((functions, panics))
}

fn table(functions: &[Function]) -> String {
    let mut text = format!(
        "  {:<24}{:<24}{:>12}{:>10}\n",
        "PROGRAM", "SECTION", "INSTRUCTIONS", "BYTES"
    );
    for function in functions.iter().filter(|function| function.is_program()) {
        let _ = writeln!(
            text,
            "  {:<24}{:<24}{:>12}{:>10}",
            function.name,
            function.section,
            function.bytes / INSTRUCTION,
            function.bytes
        );
    }
    let shared: Vec<&Function> = functions.iter().filter(|f| !f.is_program()).collect();
    if !shared.is_empty() {
        let bytes: u64 = shared.iter().map(|function| function.bytes).sum();
        let _ = writeln!(
            text,
            "  {:<24}{:<24}{:>12}{:>10}",
            format!("({} shared functions)", shared.len()),
            ".text",
            bytes / INSTRUCTION,
            bytes
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_shared_functions_are_told_apart() {
        let function = |name: &str, section: &str, bytes| Function {
            name: name.into(),
            section: section.into(),
            bytes,
        };
        let text = table(&[
            function("memset", ".text", 80),
            function("from_endpoint", "classifier", 1600),
        ]);
        assert!(text.contains("from_endpoint"));
        assert!(text.contains("200"));
        assert!(text.contains("(1 shared functions)"));
        assert!(!text.contains("memset"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(read(b"not an object").is_err());
    }
}
