//! Which paths a Rust file names: `use` trees expanded, `super` resolved. Reads scanned code; knows
//! nothing of rules.

/// A path such as `crate::state::request`, with the line on which its statement begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// From 1.
    pub line: usize,
    /// Segments, absolute where it began with `super` or `self`.
    pub path: Vec<String>,
}

/// All paths of two or more segments, and all of `use` statements. `module` is the file's own path
/// from the crate's root.
pub fn of(code: &str, module: &[String]) -> Vec<Named> {
    let mut named = Vec::new();
    let mut line = 1;
    let mut rest = code;
    while let Some(character) = rest.chars().next() {
        let word = word_at(rest);
        if word == "use" {
            let end = rest.find(';').unwrap_or(rest.len());
            let mut tree = &rest[3..end];
            let mut paths = Vec::new();
            expand(&mut tree, &[], &mut paths);
            named.extend(paths.into_iter().map(|path| Named {
                line,
                path: resolve(path, module),
            }));
            line += rest[..end].matches('\n').count();
            rest = &rest[end..];
        } else if !word.is_empty() {
            let length = path_length(rest);
            let path: Vec<String> = rest[..length].split("::").map(str::to_owned).collect();
            if path.len() > 1 {
                named.push(Named {
                    line,
                    path: resolve(path, module),
                });
            }
            rest = &rest[length..];
        } else {
            line += usize::from(character == '\n');
            rest = &rest[character.len_utf8()..];
        }
    }
    named
}

/// The module path of a file below `src/`: `state/request.rs` → `[state, request]`.
pub fn module_of(file: &str) -> Vec<String> {
    let below = file.split_once("src/").map_or(file, |(_, below)| below);
    let mut parts: Vec<String> = below
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if matches!(
        parts.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        parts.pop();
    }
    parts
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word_at(text: &str) -> &str {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    &text[..end]
}

/// Length of `a::b::c` at the beginning; what follows the last `::` has to be a word.
fn path_length(text: &str) -> usize {
    let mut length = word_at(text).len();
    while let Some(after) = text[length..].strip_prefix("::") {
        let word = word_at(after);
        if word.is_empty() {
            break;
        }
        length += 2 + word.len();
    }
    length
}

/// Expands one tree of a `use` statement and leaves `tree` after it.
fn expand(tree: &mut &str, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        *tree = tree.trim_start();
        *tree = tree.strip_prefix("::").unwrap_or(tree).trim_start();
        if let Some(inside) = tree.strip_prefix('{') {
            *tree = inside;
            expand_group(tree, &path, paths);
            return;
        }
        let word = word_at(tree);
        if word.is_empty() {
            *tree = tree.strip_prefix('*').unwrap_or(tree);
            paths.push(path);
            return;
        }
        *tree = &tree[word.len()..];
        if word == "as" {
            *tree = &tree.trim_start()[word_at(tree.trim_start()).len()..];
        } else if word != "self" || path.is_empty() {
            path.push(word.to_owned());
        }
    }
}

fn expand_group(tree: &mut &str, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    loop {
        *tree = tree.trim_start();
        if let Some(after) = tree.strip_prefix('}') {
            *tree = after;
            return;
        }
        if tree.is_empty() {
            return;
        }
        let before = tree.len();
        expand(tree, prefix, paths);
        *tree = tree.trim_start();
        *tree = tree.strip_prefix(',').unwrap_or(tree);
        if tree.len() == before {
            // Something that is no tree: not for us to judge.
            return;
        }
    }
}

/// `super::x` in module `a::b` → `crate::a::x`.
fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let base = match path.first().map(String::as_str) {
        Some("super") => module.len().saturating_sub(ups),
        Some("self") => module.len(),
        _ => return path,
    };
    let rest = path.iter().skip(ups.max(1));
    std::iter::once("crate".to_owned())
        .chain(module[..base].iter().cloned())
        .chain(rest.cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(code: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
        of(code, &module)
            .into_iter()
            .map(|named| format!("{} {}", named.line, named.path.join("::")))
            .collect()
    }

    #[test]
    fn trees_are_expanded() {
        let code = "use a::{b, c::{self, d as e}, f::*};\nuse std::fs;\n";
        assert_eq!(
            all(code, &[]),
            ["1 a::b", "1 a::c", "1 a::c::d", "1 a::f", "2 std::fs"]
        );
    }

    #[test]
    fn a_path_in_code_counts_too() {
        assert_eq!(
            all("fn f() {\n    std::time::Instant::now()\n}", &[]),
            ["2 std::time::Instant::now"]
        );
    }

    #[test]
    fn relative_paths_are_resolved() {
        assert_eq!(all("use super::x;", &["a", "b"]), ["1 crate::a::x"]);
        assert_eq!(all("use super::super::x;", &["a", "b"]), ["1 crate::x"]);
        assert_eq!(all("use self::x;", &["a"]), ["1 crate::a::x"]);
        assert_eq!(module_of("netd/src/state/request.rs"), ["state", "request"]);
        assert_eq!(module_of("netd/src/state/mod.rs"), ["state"]);
    }
}
