//! Packets in files: `tests/fixtures/packets/*.txt`. Those of one file meet the world one after
//! the other, so that a file can tell a conversation.
//!
//! A vector is a title in brackets, then lines of a key and its value; a line that begins with
//! blanks goes on with the value before, and `#` begins a comment line above a title:
//!
//! ```text
//! [a neighbour by its address]
//! program from_endpoint
//! in web
//! packet 0242ac000103 0242ac000102 0800
//!   4500001c 00000000 40110000 ac120002 ac120003 ...
//! verdict peer db
//! bytes same
//! ```
//!
//! At hooks of links without Ethernet headers a packet begins with the words of its IP header.
//!
//! `from` names the interface by which a packet came into the host that is now at an egress hook;
//! without it the host itself sends. The last two lines are what is expected; `BLESS=1` writes
//! them anew. They are then to be read before they are believed.

use std::{fmt::Write as _, fs, path::PathBuf};

use netd_common::abi::Program;

use super::{Input, Output, World, root};

/// Octets in a line of a file.
const LINE: usize = 32;

/// A packet and what is expected.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Comment lines above the title.
    pub comment: String,
    /// What it shows.
    pub title: String,
    /// The packet at its hook.
    pub input: Input,
    /// The verdict in words.
    pub verdict: String,
    /// The packet afterwards.
    pub bytes: Vec<u8>,
}

/// All files by name, each with its vectors in order.
pub fn read_all(world: &World) -> Vec<(String, Vec<Vector>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory())
        .expect("the packets' directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(path).expect("a text file");
        let vectors = parse(&text, world).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        (name, vectors)
    };
    files.iter().map(read).collect()
}

/// Writes a file anew.
pub fn write_all(name: &str, vectors: &[Vector], world: &World) {
    let texts: Vec<String> = vectors.iter().map(|vector| print(vector, world)).collect();
    let path = directory().join(format!("{name}.txt"));
    fs::write(path, texts.join("\n")).expect("the file can be written");
}

impl Vector {
    /// Whether this is what came out.
    pub fn is_met(&self, output: &Output, verdict: &str) -> bool {
        self.verdict == verdict && self.bytes == output.bytes
    }
}

fn directory() -> PathBuf {
    root().join("tests/fixtures/packets")
}

fn parse(text: &str, world: &World) -> Result<Vec<Vector>, String> {
    let mut vectors = Vec::new();
    let mut comment = String::new();
    let mut title = String::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain(["[]"]) {
        if line.starts_with('#') {
            comment.push_str(line);
            comment.push('\n');
        } else if let Some(next) = line.strip_prefix('[') {
            if !fields.is_empty() {
                let vector =
                    vector(&title, &fields, world).map_err(|fault| format!("[{title}]: {fault}"));
                vectors.push(vector?);
                fields.clear();
            }
            title = next.trim_end_matches(']').to_owned();
            fields.push(("comment".to_owned(), std::mem::take(&mut comment)));
        } else if line.starts_with(' ') {
            let (_, value) = fields.last_mut().ok_or("a line goes on with nothing")?;
            value.push_str(line);
        } else if let Some((key, value)) = line.split_once(' ') {
            fields.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(vectors)
}

fn vector(title: &str, fields: &[(String, String)], world: &World) -> Result<Vector, String> {
    let field = |key: &str| {
        let mut fields = fields.iter();
        fields
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    let needed = |key: &str| field(key).ok_or(format!("no `{key}`"));
    let ifindex = |name: &str| {
        let link = world.link(name).ok_or(format!("no interface {name:?}"))?;
        Ok::<u32, String>(link.ifindex)
    };
    let program = needed("program")?;
    let packet = octets(needed("packet")?)?;
    let input = Input {
        program: Program::ALL
            .into_iter()
            .find(|known| known.name() == program)
            .ok_or(format!("no program {program:?}"))?,
        ifindex: ifindex(needed("in")?)?,
        ingress: field("from").map_or(Ok(0), ifindex)?,
        bytes: packet,
    };
    let bytes = match field("bytes") {
        None | Some("same") => input.bytes.clone(),
        Some(text) => octets(text)?,
    };
    Ok(Vector {
        comment: field("comment").unwrap_or_default().to_owned(),
        title: title.to_owned(),
        input,
        verdict: field("verdict").unwrap_or_default().to_owned(),
        bytes,
    })
}

fn octets(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .collect();
    if !digits.len().is_multiple_of(2) {
        return Err("half an octet".to_owned());
    }
    let octet = |pair: &[char]| {
        let text: String = pair.iter().collect();
        u8::from_str_radix(&text, 16).map_err(|_| format!("{text:?} is no octet"))
    };
    digits.chunks(2).map(octet).collect()
}

fn print(vector: &Vector, world: &World) -> String {
    let input = &vector.input;
    let mut text = format!(
        "{}[{}]\nprogram {}\nin {}\n",
        vector.comment,
        vector.title,
        input.program.name(),
        world.name_of(input.ifindex)
    );
    if input.ingress != 0 {
        let _ = writeln!(text, "from {}", world.name_of(input.ingress));
    }
    // What comes in where links have no Ethernet headers has got one in the end.
    let is_bare = matches!(input.program, Program::FromUplinkL3 | Program::ToUplinkL3);
    let packet = if is_bare {
        hex_bare(&input.bytes)
    } else {
        hex(&input.bytes)
    };
    let _ = writeln!(text, "packet {packet}");
    let _ = writeln!(text, "verdict {}", vector.verdict);
    if vector.bytes == input.bytes {
        text.push_str("bytes same\n");
    } else if input.program == Program::ToUplinkL3 {
        let _ = writeln!(text, "bytes {}", hex_bare(&vector.bytes));
    } else {
        let _ = writeln!(text, "bytes {}", hex(&vector.bytes));
    }
    text
}

/// Octets as the files have them: the Ethernet header by its fields, then lines of words.
pub fn hex(bytes: &[u8]) -> String {
    let (ethernet, rest) = bytes.split_at(bytes.len().min(14));
    let fields: Vec<String> = [(0, 6), (6, 12), (12, 14)]
        .into_iter()
        .filter_map(|(from, to)| ethernet.get(from..to.min(ethernet.len())))
        .filter(|field| !field.is_empty())
        .map(plain)
        .collect();
    let mut text = fields.join(" ");
    for line in rest.chunks(LINE) {
        let _ = write!(text, "\n  {}", words(line));
    }
    text
}

/// The same without an Ethernet header.
fn hex_bare(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes.chunks(LINE).map(words).collect();
    lines.join("\n  ")
}

fn words(line: &[u8]) -> String {
    let words: Vec<String> = line.chunks(4).map(plain).collect();
    words.join(" ")
}

fn plain(part: &[u8]) -> String {
    part.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
