//! `--format` and `--quiet`: rows as a table, as JSON, or by one of the few templates that Docker
//! users type. Everything that lists or inspects prints through here.

use std::io::{self, IsTerminal};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::Value;

use super::{Failure, Printed};

/// Letters of a column with the space behind it, at least: as Docker's.
const NARROWEST: u16 = 10;

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

/// A column: its heading and the row's field.
pub type Column = (&'static str, &'static str);

impl ListFormat {
    /// Prints rows. The first column is what `--quiet` prints.
    pub fn print(
        &self,
        columns: &[Column],
        rows: &[Value],
        verb: &str,
    ) -> Result<Printed, Failure> {
        let mut printed = Printed::default();
        let format = match &self.format {
            None if self.quiet => {
                Format::Plain(columns.iter().take(1).map(|c| c.1.into()).collect())
            }
            None => Format::Table,
            Some(text) => parse(text, verb).map_err(|failure| meant_filter(failure, text, verb))?,
        };
        match format {
            Format::Table => printed.out = table(columns, rows, terminal_width()),
            format => {
                for row in rows {
                    printed.line(&one(&format, row)?);
                }
            }
        }
        Ok(printed)
    }
}

impl InspectFormat {
    /// Whether one was asked for.
    pub fn given(&self) -> bool {
        self.format.is_some()
    }

    /// Prints objects: a JSON array, or one line each by the template.
    pub fn print(&self, objects: &[Value], verb: &str) -> Result<Printed, Failure> {
        let mut printed = Printed::default();
        match &self.format {
            None => printed.line(&pretty(objects)),
            Some(text) => match parse(text, verb)? {
                Format::Table => {
                    return Err(Failure::usage("table is not a format of inspect"));
                }
                format => {
                    for object in objects {
                        printed.line(&one(&format, object)?);
                    }
                }
            },
        }
        Ok(printed)
    }
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

/// Columns three spaces apart without borders, as Docker prints them. Where they are wider than the
/// terminal, long cells go on in the next line, within their column.
fn table(columns: &[Column], rows: &[Value], width: Option<u16>) -> String {
    let mut table = Table::new();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        let cell = |(_, field): &Column| match row.get(*field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        table.add_row(columns.iter().map(cell));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 3));
        // Ids are copied: they stay in one piece.
        let whole = i == 0 && width.is_some_and(|width| width >= 40);
        column.set_constraint(if whole {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST))
        });
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::{InspectFormat, ListFormat};

    fn rows() -> Vec<Value> {
        vec![
            json!({"ID": "0596d26bced8", "Name": "app", "Ports": "", "IPv6": false, "Nested": {"A": null, "a-b": "c"}}),
            json!({"ID": "6277b26b242b", "Name": "a-longer-name", "Ports": "8080->80/tcp", "IPv6": true, "Nested": {}}),
        ]
    }

    fn list(quiet: bool, format: Option<&str>, expected: Expect) {
        let format = format.map(str::to_owned);
        let columns = [("NETWORK ID", "ID"), ("NAME", "Name"), ("PORTS", "Ports")];
        let printed = ListFormat { quiet, format }.print(&columns, &rows(), "netd x ls");
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
    fn columns_stay_columns_on_a_narrow_terminal() {
        let columns = [("NETWORK ID", "ID"), ("NAME", "Name"), ("PORTS", "Ports")];
        let table = |width| super::table(&columns, &rows(), width);
        assert_eq!(table(Some(200)), table(None));
        let narrow = table(Some(44));
        assert!(narrow.lines().all(|line| line.len() <= 44), "{narrow}");
        assert!(
            narrow.contains("6277b26b242b") && narrow.lines().count() > 3,
            "{narrow}"
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
        assert_eq!(
            InspectFormat::default().print(&[], "x").unwrap().out,
            "[]\n"
        );
        assert!(inspect(Some("table")).is_err());
    }
}
