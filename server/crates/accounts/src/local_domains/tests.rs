use super::*;
use crate::{MAX_ALIAS_DEPTH, MAX_ALIAS_RECIPIENTS};

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn address(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn listed(name: &str, mailboxes: &[&str], aliases: &[(&str, &[&str])]) -> DomainOptions {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    DomainOptions {
        mailboxes: Some(owned(mailboxes)),
        aliases: aliases.iter().map(|(alias, targets)| ((*alias).to_owned(), owned(targets))).collect(),
        ..DomainOptions::new(domain(name))
    }
}

fn build(domains: Vec<DomainOptions>) -> Result<LocalDomains, AccountsError> {
    LocalDomains::new(Options { hostname: domain("mx.example.net"), domains })
}

fn table() -> LocalDomains {
    let aliases: &[(&str, &[&str])] = &[
        ("sales", &["alice", "carol@elsewhere.example"]),
        ("All", &["sales", "BOB", "alice"]),
        ("bob", &["bob", "archive+Bob@any.example"]),
    ];
    build(vec![
        listed("example.org", &["Alice", "bob", "with+plus"], aliases),
        DomainOptions::new(domain("any.example")),
    ])
    .unwrap()
}

fn local(mailbox: &str, detail: Option<&str>) -> Lookup {
    Lookup::Local { mailbox: address(mailbox), detail: detail.map(str::to_owned) }
}

#[test]
fn listed_mailboxes_are_found_whatever_their_case_and_detail() {
    let table = table();
    assert_eq!(table.lookup(&address("aLICE@Example.ORG")), local("alice@example.org", None));
    assert_eq!(
        table.lookup(&address("Alice+News+X@example.org")),
        local("alice@example.org", Some("News+X"))
    );
    assert_eq!(table.lookup(&address("with+plus@example.org")), local("with+plus@example.org", None));
    for unknown in
        ["nobody@example.org", "nobody+alice@example.org", "+alice@example.org", "with@example.org"]
    {
        assert_eq!(table.lookup(&address(unknown)), Lookup::Unknown, "{unknown}");
    }
    for remote in ["alice@example.com", "alice@sub.example.org"] {
        assert_eq!(table.lookup(&address(remote)), Lookup::NotLocal, "{remote}");
    }
}

#[test]
fn without_a_list_every_local_part_has_a_mailbox() {
    let table = table();
    assert_eq!(table.lookup(&address("Anybody+x@any.example")), local("anybody@any.example", Some("x")));
    assert_eq!(table.lookup(&address("+x@any.example")), local("+x@any.example", None));
}

#[test]
fn a_domain_may_have_another_separator_or_none() {
    let mut dash = DomainOptions::new(domain("dash.example"));
    dash.subaddress_separator = Some('-');
    let mut none = DomainOptions::new(domain("none.example"));
    none.subaddress_separator = None;
    let table = build(vec![dash, none]).unwrap();
    assert_eq!(table.lookup(&address("a-b+c@dash.example")), local("a@dash.example", Some("b+c")));
    assert_eq!(table.lookup(&address("a-b+c@none.example")), local("a-b+c@none.example", None));
}

#[test]
fn aliases_become_their_recipients_each_once() {
    let table = table();
    let targets = vec![address("alice@example.org"), address("carol@elsewhere.example")];
    assert_eq!(table.lookup(&address("Sales+x@example.org")), Lookup::Alias(targets));
    let expanded: Vec<String> =
        table.expand(&address("all@example.org")).unwrap().iter().map(Mailbox::to_string).collect();
    assert_eq!(
        expanded,
        ["alice@example.org", "carol@elsewhere.example", "bob@example.org", "archive+Bob@any.example"]
    );
    assert_eq!(table.expand(&address("alice+x@example.org")).unwrap(), [address("alice+x@example.org")]);
    assert_eq!(table.expand(&address("x@remote.example")).unwrap(), [address("x@remote.example")]);
    let nobody = address("nobody@example.org");
    assert_eq!(table.expand(&nobody), Err(ExpandError::Unknown(nobody)));
}

#[test]
fn an_alias_that_names_itself_keeps_a_copy_in_its_mailbox() {
    let table = table();
    let expanded = table.expand(&address("bob@example.org")).unwrap();
    assert_eq!(expanded, [address("bob@example.org"), address("archive+Bob@any.example")]);
    assert_eq!(table.mailbox(&expanded[0]), Some((address("bob@example.org"), None)));
    assert_eq!(table.mailbox(&expanded[1]), Some((address("archive@any.example"), Some("Bob".to_owned()))));
    assert_eq!(table.mailbox(&address("sales@example.org")), None, "an alias is no mailbox");
}

#[test]
fn the_postmaster_is_always_somebody() {
    let table = table();
    assert_eq!(table.lookup(&address("PostMaster@example.org")), local("postmaster@example.org", None));
    assert_eq!(table.address(&ForwardPath::Postmaster), address("postmaster@example.org"));
    let aliased = build(vec![listed("example.org", &["root"], &[("postmaster", &["root"])])]).unwrap();
    assert_eq!(aliased.expand(aliased.postmaster()).unwrap(), [address("root@example.org")]);
    let none = build(vec![]).unwrap();
    assert_eq!(none.postmaster(), &address("postmaster@mx.example.net"));
    assert_eq!(none.lookup(none.postmaster()), Lookup::NotLocal);
}

#[test]
fn aliases_that_lead_nowhere_are_refused() {
    let refused = |aliases: &[(&str, &[&str])]| match build(vec![listed("example.org", &["ann"], aliases)]) {
        Err(AccountsError::Unresolved { alias, source }) => (alias.local().to_owned(), source),
        other => panic!("{other:?}"),
    };
    let looping = refused(&[("a", &["b"]), ("b", &["c+x", "ann"]), ("c", &["a"])]);
    assert_eq!(looping, ("a".to_owned(), ExpandError::Loop(address("a@example.org"))));
    let itself = refused(&[("a", &["a"])]);
    assert_eq!(itself, ("a".to_owned(), ExpandError::Loop(address("a@example.org"))));
    let unknown = refused(&[("a", &["ann", "bob"])]);
    assert_eq!(unknown, ("a".to_owned(), ExpandError::Unknown(address("bob@example.org"))));

    let names: Vec<String> = (0..=MAX_ALIAS_DEPTH + 1).map(|nth| format!("a{nth:02}")).collect();
    let targets: Vec<[&str; 1]> = names[1..].iter().map(|name| [name.as_str()]).collect();
    let chain: Vec<(&str, &[&str])> =
        names.iter().map(String::as_str).zip(targets.iter().map(|target| &target[..])).collect();
    let mut deep = listed("example.org", &[names[MAX_ALIAS_DEPTH].as_str()], &chain[..MAX_ALIAS_DEPTH]);
    assert!(build(vec![deep.clone()]).is_ok());
    deep.mailboxes = Some(vec![names[MAX_ALIAS_DEPTH + 1].clone()]);
    let deeper = &chain[MAX_ALIAS_DEPTH];
    deep.aliases.push((deeper.0.to_owned(), vec![deeper.1[0].to_owned()]));
    assert!(matches!(build(vec![deep]), Err(AccountsError::Unresolved { source: ExpandError::TooDeep, .. })));
}

#[test]
fn an_alias_has_a_bounded_number_of_recipients() {
    let everybody = |count: usize| {
        let names: Vec<String> = (0..count).map(|nth| format!("u{nth}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        build(vec![listed("example.org", &names, &[("all", &names)])])
    };
    let table = everybody(MAX_ALIAS_RECIPIENTS).unwrap();
    assert_eq!(table.expand(&address("all@example.org")).unwrap().len(), MAX_ALIAS_RECIPIENTS);
    let error = everybody(MAX_ALIAS_RECIPIENTS + 1).unwrap_err();
    assert!(matches!(error, AccountsError::Unresolved { source: ExpandError::TooMany, .. }));
}

#[test]
fn aliases_that_multiply_meet_a_limit() {
    let tens: Vec<Vec<String>> = (0..6).map(|nth| vec![format!("a{}", nth + 1); 10]).collect();
    let mut options = listed("example.org", &["a6"], &[]);
    options.aliases =
        tens.into_iter().enumerate().map(|(nth, targets)| (format!("a{nth}"), targets)).collect();
    assert!(matches!(
        build(vec![options]),
        Err(AccountsError::Unresolved { source: ExpandError::TooMany, .. })
    ));
}

#[test]
fn bad_options_are_named() {
    let message = |options: Vec<DomainOptions>| build(options).unwrap_err().to_string();
    let twice = vec![DomainOptions::new(domain("a.example")), DomainOptions::new(domain("A.example"))];
    assert_eq!(message(twice), "the domain a.example is given twice");
    assert_eq!(
        message(vec![listed("a.example", &[""], &[])]),
        "\"\" is no local part of a.example: the local part is empty"
    );
    assert_eq!(
        message(vec![listed("a.example", &["ann"], &[("x", &["ann"]), ("X", &["ann"])])]),
        "the alias \"X\" of a.example is given twice"
    );
    assert_eq!(
        message(vec![listed("a.example", &[], &[("x", &[])])]),
        "the alias \"x\" of a.example has no targets"
    );
    assert_eq!(
        message(vec![listed("a.example", &[], &[("x", &["a b@c"])])]),
        "the alias \"x\" of a.example has the target \"a b@c\": the local part is not valid"
    );
    assert_eq!(
        message(vec![listed("a.example", &[], &[("x", &["y"])])]),
        "the alias x@a.example leads nowhere: there is no mailbox y@a.example"
    );
}

#[test]
fn a_catch_all_takes_what_is_nobody_elses() {
    let caught = DomainOptions {
        catch_all: Some("alice".to_owned()),
        ..listed("example.org", &["alice", "bob"], &[("sales", &["bob"])])
    };
    let away =
        DomainOptions { catch_all: Some("x@far.example".to_owned()), ..listed("away.example", &[], &[]) };
    let table = build(vec![caught, away]).unwrap();
    let recipients = |text: &str| table.recipients(&address(text)).unwrap();
    assert_eq!(recipients("nobody+x@example.org"), [address("alice@example.org")]);
    assert_eq!(recipients("sales@example.org"), [address("bob@example.org")]);
    assert_eq!(recipients("Bob+x@example.org"), [address("bob@example.org")]);
    assert_eq!(recipients("any@away.example"), [address("x@far.example")]);
    assert_eq!(recipients("postmaster@away.example"), [address("postmaster@away.example")]);
}

#[test]
fn a_catch_all_that_leads_nowhere_or_is_never_asked_is_a_fault_beside_all_others() {
    let circle = DomainOptions {
        catch_all: Some("nobody".to_owned()),
        ..listed("circle.example", &["alice"], &[("a", &["none@plain.example"])])
    };
    let idle = DomainOptions {
        catch_all: Some("a@far.example".to_owned()),
        ..DomainOptions::new(domain("idle.example"))
    };
    let options = Options {
        hostname: domain("mx.example.net"),
        domains: vec![circle, idle, listed("plain.example", &["x"], &[])],
    };
    let (_, faults) = LocalDomains::with_faults(options).unwrap();
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let [alias, circle, idle] = said.as_slice() else { panic!("{said:?}") };
    assert!(alias.starts_with("the alias a@circle.example leads nowhere"), "{alias}");
    assert!(
        circle.contains("catch-all of circle.example") && circle.contains("leads back to itself"),
        "{circle}"
    );
    assert!(idle.contains("catch-all of idle.example is never asked"), "{idle}");
}
