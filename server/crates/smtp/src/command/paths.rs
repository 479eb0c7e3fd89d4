//! The arguments of MAIL and RCPT: a path and parameters (RFC 5321 section 4.1.2).

use model::{Domain, ForwardPath, Mailbox, Param, ReversePath};

use super::{Command, CommandError, Paths};

pub(super) fn mail(argument: &str, paths: Paths) -> Result<Command, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("usage: MAIL FROM:<address>");
    let rest = strip_keyword(argument, "FROM").ok_or(USAGE)?;
    let (path, params) = split_path(rest, paths).ok_or(USAGE)?;
    let sender = match path {
        "" => ReversePath::Null,
        address => ReversePath::Mailbox(
            Mailbox::parse(without_source_route(address)?).map_err(CommandError::Sender)?,
        ),
    };
    Ok(Command::Mail { sender, params: parse_params(params)? })
}

pub(super) fn rcpt(argument: &str, paths: Paths) -> Result<Command, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("usage: RCPT TO:<address>");
    let rest = strip_keyword(argument, "TO").ok_or(USAGE)?;
    let (path, params) = split_path(rest, paths).ok_or(USAGE)?;
    let path = match path {
        "" => return Err(CommandError::Syntax("the recipient address is empty")),
        //= RFC 5321 section 4.5.1: <Postmaster> without a domain must be taken.
        address if address.eq_ignore_ascii_case("postmaster") => ForwardPath::Postmaster,
        address => {
            let mailbox = Mailbox::parse(without_source_route(address)?).map_err(CommandError::Recipient)?;
            ForwardPath::Mailbox(mailbox)
        }
    };
    Ok(Command::Rcpt { path, params: parse_params(params)? })
}

/// What follows `FROM:` or `TO:`.
fn strip_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let head = argument.get(..keyword.len())?;
    let rest = head.eq_ignore_ascii_case(keyword).then(|| &argument[keyword.len()..])?;
    rest.strip_prefix(':')
}

/// Splits the path, without its brackets, from the parameters.
fn split_path(rest: &str, paths: Paths) -> Option<(&str, &str)> {
    let trimmed = match paths {
        Paths::Strict => rest,
        Paths::Lenient => rest.trim_start(),
    };
    if let Some(inner) = trimmed.strip_prefix('<') {
        let end = closing_bracket(inner)?;
        let params = &inner[end + 1..];
        let separated = params.is_empty() || params.starts_with([' ', '\t']);
        return separated.then_some((&inner[..end], params));
    }
    if paths == Paths::Strict || trimmed.is_empty() {
        return None;
    }
    let end = trimmed.find([' ', '\t']).unwrap_or(trimmed.len());
    let (path, params) = trimmed.split_at(end);
    (!path.contains(['<', '>'])).then_some((path, params))
}

/// Where `>` ends the path; one inside quotes does not.
fn closing_bracket(inner: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// `@a,@b:user@c` is `user@c`: source routes are to be understood and ignored (RFC 5321 appendix C).
fn without_source_route(path: &str) -> Result<&str, CommandError> {
    let Some((route, address)) = path.split_once(':').filter(|(route, _)| route.starts_with('@')) else {
        return Ok(path);
    };
    let is_hop = |hop: &str| hop.strip_prefix('@').is_some_and(|domain| Domain::parse(domain).is_ok());
    match route.split(',').all(is_hop) {
        true => Ok(address),
        false => Err(CommandError::Syntax("the source route is not valid")),
    }
}

/// `KEYWORD` and `KEYWORD=value`, separated by white space (RFC 5321 section 4.1.2, esmtp-param).
fn parse_params(text: &str) -> Result<Vec<Param>, CommandError> {
    const BAD: CommandError = CommandError::Syntax("a parameter is not valid");
    let mut params: Vec<Param> = Vec::new();
    for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let keyword_fits = keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && keyword.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !keyword_fits || value.is_some_and(|value| value.is_empty() || value.contains('=')) {
            return Err(BAD);
        }
        let keyword = keyword.to_ascii_uppercase();
        if params.iter().any(|param| param.keyword == keyword) {
            return Err(CommandError::Syntax("a parameter is given twice"));
        }
        params.push(Param { keyword, value: value.map(str::to_owned) });
    }
    Ok(params)
}
