//! Records for `plugin test`, a line each: `example.org MX 10 mx.example.org`.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dns::{DnsError, Fake};

/// A resolver that knows the records of a file, and nothing else.
pub(crate) fn read(file: &Path) -> Result<Fake> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse(&text).with_context(|| file.display().to_string())
}

/// The same from a text.
pub(crate) fn parse(text: &str) -> Result<Fake> {
    let mut fake = Fake::new();
    for (nth, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            fake = record(fake, line).with_context(|| format!("line {}", nth + 1))?;
        }
    }
    Ok(fake)
}

fn record(fake: Fake, line: &str) -> Result<Fake> {
    let mut words = line.splitn(3, char::is_whitespace);
    let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let value = words.next().unwrap_or_default().trim();
    Ok(match kind.to_ascii_uppercase().as_str() {
        "A" | "AAAA" => fake.with_address(name, value.parse().with_context(|| format!("\"{value}\""))?),
        "MX" => {
            let (preference, exchange) =
                value.split_once(char::is_whitespace).context("MX has a preference and a host")?;
            fake.with_mx(
                name,
                preference.parse().with_context(|| format!("\"{preference}\""))?,
                exchange.trim(),
            )
        }
        "TXT" => fake.with_txt(name, value.trim_matches('"')),
        "PTR" => fake.with_ptr(name.parse::<IpAddr>().with_context(|| format!("\"{name}\""))?, value),
        "FAIL" => fake.fails(name, DnsError::ServFail("as the file says".to_owned())),
        _ => bail!("\"{line}\" is no record: NAME A|AAAA|MX|TXT|PTR|FAIL VALUE"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dns::Resolver;

    #[tokio::test]
    async fn records_are_answered_as_they_stand() {
        let text = "# a comment\nexample.org MX 10 mx.example.org\nmx.example.org A 192.0.2.1\n\
                    example.org TXT \"v=spf1 -all\"\n192.0.2.1 PTR mx.example.org\nbad.example FAIL\n";
        let fake = parse(text).unwrap();
        assert_eq!(fake.mx("example.org").await.unwrap()[0].preference, 10);
        assert_eq!(fake.txt("example.org").await.unwrap(), ["v=spf1 -all"]);
        assert_eq!(fake.ptr("192.0.2.1".parse().unwrap()).await.unwrap(), ["mx.example.org"]);
        assert!(fake.txt("bad.example").await.unwrap_err().is_temporary());
        assert_eq!(fake.txt("other.example").await, Err(DnsError::NxDomain));
    }

    #[test]
    fn a_line_that_is_no_record_is_said_with_its_number() {
        for (text, word) in
            [("\nx A y", "line 2"), ("example.org MX mx", "preference"), ("x SRV 1", "no record")]
        {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
