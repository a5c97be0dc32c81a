//! `--format` and `--quiet`: rows as a table, as JSON, or by one of the few templates that Docker
//! users type. Everything that lists, inspects or shows an object prints through here.

use std::{
    borrow::Cow,
    io::{self, IsTerminal},
};

use serde::Serialize;
use serde_json::Value;

use super::{Failure, Printed, table};

/// What to print of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    /// Columns.
    Table,
    /// The row, one JSON text a line.
    Json,
    /// `{{.A.B}}`: a plain value.
    Plain(Vec<String>),
    /// `{{json .A.B}}`.
    AsJson(Vec<String>),
}

/// Flags of verbs that list.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ListFormat {
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// table, json, '{{.A}}' or '{{json .A}}'
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "quiet")]
    format: Option<String>,
}

/// The flag of verbs that inspect.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InspectFormat {
    /// json, '{{.A.B}}' or '{{json .A}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// The flag of verbs that tell something in words of their own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TextFormat {
    /// json, '{{.A.B}}' or '{{json .A}}'; without it a text for people
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// A column: its heading, and what a row has in it.
pub type Column<T> = (&'static str, fn(&T) -> Cow<'_, str>);

impl ListFormat {
    /// Of verbs that print as it happens: whether JSON is asked for, else text.
    pub fn is_json(&self, verb: &str) -> Result<bool, Failure> {
        let Some(text) = &self.format else {
            return Ok(false);
        };
        match parse(text, verb)? {
            Format::Json => Ok(true),
            _ => Err(Failure::usage(format!(
                "{verb} prints text or json, not {text}"
            ))),
        }
    }

    /// Prints rows. The first column is what `--quiet` prints.
    pub fn print<T: Serialize>(
        &self,
        columns: &[Column<T>],
        rows: &[T],
        verb: &str,
    ) -> Result<Printed, Failure> {
        let format = match &self.format {
            None => Format::Table,
            Some(text) => parse(text, verb).map_err(|failure| meant_filter(failure, text, verb))?,
        };
        let mut printed = Printed::default();
        match (format, columns) {
            (Format::Table, [(_, id), ..]) if self.quiet => {
                rows.iter().for_each(|row| printed.line(&id(row)));
            }
            (Format::Table, _) => printed.out = table::text(columns, rows, terminal_width()),
            (format, _) => lines(&mut printed, &format, rows)?,
        }
        Ok(printed)
    }
}

impl InspectFormat {
    /// Prints objects: a JSON array as Docker has it (`json`: in one line), or a line each by the
    /// template.
    pub fn print(&self, objects: &[Value], verb: &str) -> Result<Printed, Failure> {
        let Some(text) = &self.format else {
            return Ok(Printed::text(pretty(objects) + "\n"));
        };
        let mut printed = Printed::default();
        match parse(text, verb)? {
            Format::Table => return Err(no_table()),
            Format::Json => printed.line(&json(&objects)?),
            format => lines(&mut printed, &format, objects)?,
        }
        Ok(printed)
    }
}

impl TextFormat {
    /// Prints objects, one a line, where a format was asked for; else the text.
    pub fn print<T: Serialize>(
        &self,
        objects: &[T],
        verb: &str,
        text: impl FnOnce() -> Result<Printed, Failure>,
    ) -> Result<Printed, Failure> {
        let Some(format) = &self.format else {
            return text();
        };
        let template = Template::parse(format, verb)?;
        let mut printed = Printed::default();
        lines(&mut printed, &template.0, objects)?;
        Ok(printed)
    }
}

/// How one object after the other is printed.
pub struct Template(Format);

impl Template {
    /// `json`, `{{.A.B}}` or `{{json .A}}`.
    pub fn parse(text: &str, verb: &str) -> Result<Template, Failure> {
        match parse(text, verb)? {
            Format::Table => Err(no_table()),
            format => Ok(Template(format)),
        }
    }

    /// What is printed of an object.
    pub fn line(&self, object: &Value) -> Result<String, Failure> {
        one(&self.0, object)
    }
}

fn no_table() -> Failure {
    Failure::usage("table is a format of lists alone").hint("--format json")
}

fn lines<T: Serialize>(printed: &mut Printed, format: &Format, rows: &[T]) -> Result<(), Failure> {
    for row in rows {
        let line = match format {
            Format::Json | Format::Table => json(row)?,
            Format::Plain(_) | Format::AsJson(_) => {
                one(format, &serde_json::to_value(row).map_err(unprintable)?)?
            }
        };
        printed.line(&line);
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(unprintable)
}

fn unprintable(error: serde_json::Error) -> Failure {
    Failure::refused(error.to_string())
}

/// Docker's lists take `-f` for `--filter`: who types `-f name=app` is told.
fn meant_filter(failure: Failure, text: &str, verb: &str) -> Failure {
    let key = text
        .split_once('=')
        .map(|(key, _)| key.trim_end_matches('!'));
    let is_word = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase());
    if key.is_some_and(is_word) {
        failure.hint(format!("{verb} --filter {text}"))
    } else {
        failure
    }
}

/// A JSON array as Docker prints it: four spaces.
fn pretty(objects: &[Value]) -> String {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, indent);
    match serde::Serialize::serialize(objects, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("[] ({error})"),
    }
}

fn parse(text: &str, verb: &str) -> Result<Format, Failure> {
    match text {
        "table" => return Ok(Format::Table),
        "json" => return Ok(Format::Json),
        _ => {}
    }
    let inner = text
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .map(str::trim);
    let path = |text: &str| -> Option<Vec<String>> {
        let rest = text.trim().strip_prefix('.')?;
        if rest.is_empty() {
            return Some(Vec::new());
        }
        let good = |part: &str| !part.is_empty() && !part.contains(['{', '}', ' ', '"', '(', '|']);
        let parts: Vec<String> = rest.split('.').map(str::to_owned).collect();
        parts.iter().all(|part| good(part)).then_some(parts)
    };
    let parsed = inner.and_then(|inner| match inner.strip_prefix("json ") {
        Some(rest) => path(rest).map(Format::AsJson),
        None => path(inner)
            .filter(|path| !path.is_empty())
            .map(Format::Plain),
    });
    parsed.ok_or_else(|| {
        Failure::usage(format!("format {text:?} is not supported"))
            .hint(format!("{verb} --format json | jq -r '{}'", jq(text)))
    })
}

/// The jq program that does what the template wanted, as far as it is text and fields.
fn jq(template: &str) -> String {
    let template = template.strip_prefix("table ").unwrap_or(template);
    let mut program = String::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("{{") {
        let Some((field, after)) = after.split_once("}}") else {
            return ".".to_owned();
        };
        let field = field.trim();
        let path = field.strip_prefix("json ").unwrap_or(field).trim();
        if !path.starts_with('.') || path.contains([' ', '"', '(', '|']) {
            return ".".to_owned();
        }
        program.push_str(&text.replace('"', "\\\""));
        program.push_str(&format!("\\({path})"));
        rest = after;
    }
    if program.is_empty() {
        return ".".to_owned();
    }
    format!("\"{program}{}\"", rest.replace('"', "\\\""))
}

fn one(format: &Format, row: &Value) -> Result<String, Failure> {
    match format {
        Format::Json | Format::Table => Ok(row.to_string()),
        Format::AsJson(path) => Ok(field(row, path)?.to_string()),
        Format::Plain(path) => match field(row, path)? {
            Value::String(text) => Ok(text.clone()),
            Value::Null => Ok("<no value>".to_owned()),
            Value::Bool(_) | Value::Number(_) => Ok(field(row, path)?.to_string()),
            Value::Array(_) | Value::Object(_) => {
                let path = path.join(".");
                let text = format!(".{path} is not a plain value");
                Err(Failure::refused(text).hint(format!("--format '{{{{json .{path}}}}}'")))
            }
        },
    }
}

fn field<'a>(row: &'a Value, path: &[String]) -> Result<&'a Value, Failure> {
    path.iter().try_fold(row, |value, part| {
        value.get(part).ok_or_else(|| {
            let known = value.as_object().map(|object| {
                let names: Vec<&str> = object.keys().map(String::as_str).collect();
                names.join(", ")
            });
            let failure = Failure::refused(format!("no field {part:?} in .{}", path.join(".")));
            match known {
                Some(known) if !known.is_empty() => failure.hint(format!("one of {known}")),
                _ => failure,
            }
        })
    })
}

/// The width of the terminal; none where there is none: what a script reads is never broken.
fn terminal_width() -> Option<u16> {
    let terminal = io::stdout().is_terminal();
    let size = terminal.then(|| terminal_size::terminal_size_of(io::stdout()));
    size.flatten().map(|(width, _)| width.0)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::{Column, InspectFormat, ListFormat};

    fn rows() -> Vec<Value> {
        vec![
            json!({"ID": "0596d26bced8", "Name": "app", "Ports": "", "IPv6": false, "Nested": {"A": null, "a-b": "c"}}),
            json!({"ID": "6277b26b242b", "Name": "a-longer-name", "Ports": "8080->80/tcp", "IPv6": true, "Nested": {}}),
        ]
    }

    const COLUMNS: [Column<Value>; 3] = [
        ("NETWORK ID", |row| text(row, "ID")),
        ("NAME", |row| text(row, "Name")),
        ("PORTS", |row| text(row, "Ports")),
    ];

    fn text<'a>(row: &'a Value, field: &str) -> Cow<'a, str> {
        row[field].as_str().unwrap().into()
    }

    fn list(quiet: bool, format: Option<&str>, expected: Expect) {
        let format = format.map(str::to_owned);
        let printed = ListFormat { quiet, format }.print(&COLUMNS, &rows(), "netd x ls");
        expected.assert_eq(&match printed {
            Ok(printed) => printed.out,
            Err(failure) => failure.lines(),
        });
    }

    #[test]
    fn rows_are_printed_as_docker_prints_them() {
        list(
            false,
            None,
            expect![[r#"
            NETWORK ID     NAME            PORTS
            0596d26bced8   app
            6277b26b242b   a-longer-name   8080->80/tcp
        "#]],
        );
        list(
            true,
            None,
            expect![[r#"
            0596d26bced8
            6277b26b242b
        "#]],
        );
        list(
            false,
            Some("json"),
            expect![[r#"
            {"ID":"0596d26bced8","Name":"app","Ports":"","IPv6":false,"Nested":{"A":null,"a-b":"c"}}
            {"ID":"6277b26b242b","Name":"a-longer-name","Ports":"8080->80/tcp","IPv6":true,"Nested":{}}
        "#]],
        );
        list(
            false,
            Some("{{.Name}}"),
            expect![[r#"
            app
            a-longer-name
        "#]],
        );
        list(
            false,
            Some("{{ json .Nested }}"),
            expect![[r#"
            {"A":null,"a-b":"c"}
            {}
        "#]],
        );
        list(
            false,
            Some("{{json .}}"),
            expect![[r#"
            {"ID":"0596d26bced8","Name":"app","Ports":"","IPv6":false,"Nested":{"A":null,"a-b":"c"}}
            {"ID":"6277b26b242b","Name":"a-longer-name","Ports":"8080->80/tcp","IPv6":true,"Nested":{}}
        "#]],
        );
        list(
            false,
            Some("{{.IPv6}}"),
            expect![[r#"
            false
            true
        "#]],
        );
    }

    #[test]
    fn other_templates_are_refused_with_the_jq_line() {
        list(
            false,
            Some("{{.ID}}: {{.Name}}"),
            expect![[r#"
            netd: format "{{.ID}}: {{.Name}}" is not supported
            try: netd x ls --format json | jq -r '"\(.ID): \(.Name)"'
        "#]],
        );
        list(
            false,
            Some("table {{.ID}}\t{{.Name}}"),
            expect![[r#"
            netd: format "table {{.ID}}\t{{.Name}}" is not supported
            try: netd x ls --format json | jq -r '"\(.ID)	\(.Name)"'
        "#]],
        );
        list(
            false,
            Some("{{range .X}}{{.}}{{end}}"),
            expect![[r#"
            netd: format "{{range .X}}{{.}}{{end}}" is not supported
            try: netd x ls --format json | jq -r '.'
        "#]],
        );
        list(
            false,
            Some("{{.}}"),
            expect![[r#"
            netd: format "{{.}}" is not supported
            try: netd x ls --format json | jq -r '"\(.)"'
        "#]],
        );
        list(
            false,
            Some("yaml"),
            expect![[r#"
            netd: format "yaml" is not supported
            try: netd x ls --format json | jq -r '.'
        "#]],
        );
        list(
            false,
            Some("name=app"),
            expect![[r#"
                netd: format "name=app" is not supported
                try: netd x ls --filter name=app
            "#]],
        );
        list(
            false,
            Some("{{.Nested}}"),
            expect![[r#"
            netd: .Nested is not a plain value
            try: --format '{{json .Nested}}'
        "#]],
        );
        list(
            false,
            Some("{{.Nosuch}}"),
            expect![[r#"
            netd: no field "Nosuch" in .Nosuch
            try: one of ID, Name, Ports, IPv6, Nested
        "#]],
        );
    }

    #[test]
    fn inspect_prints_an_array_or_a_line_each() {
        let inspect = |format: Option<&str>| {
            let format = format.map(str::to_owned);
            InspectFormat { format }
                .print(&rows()[..1], "netd inspect")
                .map(|p| p.out)
        };
        expect![[r#"
            [
                {
                    "ID": "0596d26bced8",
                    "Name": "app",
                    "Ports": "",
                    "IPv6": false,
                    "Nested": {
                        "A": null,
                        "a-b": "c"
                    }
                }
            ]
        "#]]
        .assert_eq(&inspect(None).unwrap());
        assert_eq!(inspect(Some("{{.Nested.a-b}}")).unwrap(), "c\n");
        assert_eq!(inspect(Some("{{.Nested.A}}")).unwrap(), "<no value>\n");
        assert_eq!(inspect(Some("json")).unwrap(), format!("[{}]\n", rows()[0]));
        assert_eq!(
            InspectFormat::default().print(&[], "x").unwrap().out,
            "[]\n"
        );
        assert!(inspect(Some("table")).is_err());
    }
}
