use proptest::prelude::*;

use super::*;

fn draft(message: &str) -> Draft {
    Draft::new(Bytes::copy_from_slice(message.replace('\n', "\r\n").as_bytes()).into()).unwrap()
}

fn listed(draft: &Draft) -> Vec<(String, String, String)> {
    let structure = draft.parts().unwrap();
    assert!(structure.complete);
    let content =
        |part: &Part| String::from_utf8(draft.read_body(part.offset, part.len).unwrap().to_vec()).unwrap();
    structure.parts.iter().map(|part| (part.path.clone(), part.media_type.clone(), content(part))).collect()
}

fn part(path: &str, media_type: &str, content: &str) -> (String, String, String) {
    (path.to_owned(), media_type.to_owned(), content.replace('\n', "\r\n"))
}

const MIXED: &str = "\
Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary=\"outer\"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner

plain
--inner
Content-Type: TEXT/HTML; charset=\"UTF-8\"
Content-Transfer-Encoding: Quoted-Printable

<p>gr=C3=BCn</p>

--inner--

--outer
Content-Type: application/pdf; name=\"other.pdf\"
Content-Transfer-Encoding: BASE64 (a comment)
Content-Disposition: Attachment; filename*=UTF-8''gr%C3%BCn.pdf

SGVsbG8s
IHdvcmxk
--outer--
epilogue
";

#[test]
fn parts_are_listed_with_their_containers() {
    let draft = draft(MIXED);
    let parts = listed(&draft);
    let body = MIXED.split_once("\n\n").unwrap().1;
    assert_eq!(parts[0], part("", "multipart/mixed", body));
    let (path, media_type, alternative) = &parts[1];
    assert_eq!((path.as_str(), media_type.as_str()), ("1", "multipart/alternative"));
    assert!(alternative.starts_with("--inner\r\n") && alternative.contains("--inner--"), "{alternative:?}");
    assert!(!alternative.contains("--outer"));
    assert_eq!(parts[2], part("1.1", "text/plain", "plain"));
    assert_eq!(parts[3], part("1.2", "text/html", "<p>gr=C3=BCn</p>\n"));
    assert_eq!(parts[4], part("2", "application/pdf", "SGVsbG8s\nIHdvcmxk"));
    assert_eq!(parts.len(), 5);
}

#[test]
fn parts_say_what_they_are_and_are_decoded() {
    let draft = draft(MIXED);
    let parts = draft.parts().unwrap().parts;
    let (plain, html, pdf) = (&parts[2], &parts[3], &parts[4]);
    assert_eq!((plain.charset.as_deref(), plain.encoding.as_str()), (Some("us-ascii"), "7bit"));
    assert_eq!((html.charset.as_deref(), html.encoding.as_str()), (Some("utf-8"), "quoted-printable"));
    assert_eq!(draft.read_part(html).unwrap(), "<p>grün</p>\r\n".as_bytes());
    assert_eq!(pdf.filename.as_deref(), Some("grün.pdf"));
    assert_eq!((pdf.disposition.as_deref(), pdf.charset.as_deref()), (Some("attachment"), None));
    assert_eq!(draft.read_part(pdf).unwrap(), "Hello, world");
    assert_eq!(draft.read_part(plain).unwrap(), "plain");
}

#[test]
fn file_names_are_decoded_from_every_form_in_use() {
    for (field, expected) in [
        ("Content-Disposition: attachment; filename=\"=?UTF-8?Q?gr=C3=BCn?=.txt\"", "grün.txt"),
        ("Content-Disposition: attachment; filename*0*=UTF-8''gr%C3%BC; filename*1=n.txt", "grün.txt"),
        ("Content-Type: text/plain; name=\"=?ISO-8859-1?B?Z3L8bi50eHQ=?=\"", "grün.txt"),
        ("Content-Disposition: attachment; filename=\"digest of rfc822.txt\"", "digest of rfc822.txt"),
    ] {
        let draft =
            draft(&format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{field}\n\nx\n--b--\n"));
        assert_eq!(draft.parts().unwrap().parts[1].filename.as_deref(), Some(expected), "{field}");
    }
}

#[test]
fn a_message_that_is_no_multipart_is_one_part() {
    let plain = draft("Subject: x\n\nbody\n");
    assert_eq!(listed(&plain), [part("", "text/plain", "body\n")]);
    let nothing = draft("just text\nmore\n");
    assert_eq!(listed(&nothing), [part("", "text/plain", "just text\nmore\n")]);
    let encoded = draft("Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n");
    let parts = encoded.parts().unwrap().parts;
    assert_eq!((parts.len(), parts[0].media_type.as_str()), (1, "image/png"));
    assert_eq!(encoded.read_part(&parts[0]).unwrap(), "Hello");
    let broken = draft("Content-Transfer-Encoding: base64\n\n\u{1}\u{2}!\n");
    let part = &broken.parts().unwrap().parts[0];
    assert!(matches!(broken.read_part(part), Err(PartError::Undecodable(_))));
}

#[test]
fn a_message_within_the_message_is_a_leaf() {
    let inner = "Subject: inner\nContent-Type: multipart/mixed; boundary=in\n\n--in\n\na\n--in--\n";
    let forwarded = draft(&format!(
        "Content-Type: multipart/mixed; boundary=out\n\n--out\nContent-Type: message/rfc822\n\n{inner}\n--out\n\n\
         after\n--out--\n"
    ));
    let parts = listed(&forwarded);
    assert_eq!(parts[1..], [part("1", "message/rfc822", inner), part("2", "text/plain", "after")]);

    let digest = draft(
        "Content-Type: multipart/digest; boundary=\"digest-of-rfc822\"\n\n--digest-of-rfc822\n\nSubject: one\n\n1\n\
         --digest-of-rfc822\nContent-Type: text/html\n\n2\n--digest-of-rfc822--\n",
    );
    let parts = listed(&digest);
    assert_eq!(parts[0].1, "multipart/digest");
    assert_eq!(parts[1..], [part("1", "message/rfc822", "Subject: one\n\n1"), part("2", "text/html", "2")]);
}

#[test]
fn a_part_without_a_body_or_an_end_is_still_a_part() {
    let cut = draft("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\ncut");
    let parts = listed(&cut);
    assert_eq!(parts[1], part("1", "text/html", "cut"));
    let nowhere = draft("Content-Type: multipart/mixed; boundary=b\n\nno boundary here\n");
    assert_eq!(listed(&nowhere), [part("", "multipart/mixed", "no boundary here\n")]);
    let unnamed = draft("Content-Type: multipart/mixed\n\n--b\n\nx\n");
    assert_eq!(listed(&unnamed).len(), 1);
}

#[test]
fn messages_in_messages_to_any_depth_do_no_harm() {
    for field in [
        "Content-Type: message/rfc822\n\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n",
        " \t c o ntent-type: message/global\n\n",
    ] {
        let deep = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{}", field.repeat(20_000));
        assert!(draft(&deep).parts().unwrap().parts.len() <= MAX_PARTS);
    }
}

#[test]
fn a_flood_of_parts_meets_its_limits() {
    let many =
        format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", "--b\n\nx\n".repeat(150_000));
    let structure = draft(&many).parts().unwrap();
    assert_eq!((structure.parts.len(), structure.complete), (MAX_PARTS, false));
    let multiparts = "--b\nContent-Type: multipart/mixed; boundary=never\n\n".repeat(1100);
    let structure =
        draft(&format!("Content-Type: multipart/mixed; boundary=b\n\n{multiparts}--b--\n")).parts().unwrap();
    assert!(!structure.complete);
}

proptest! {
    #[test]
    fn no_message_panics_and_parts_lie_in_the_body(
        text in "(Content-Type: (multipart/(mixed|digest)|message/rfc822|text/html); boundary=(a|b)\r\n|\
                 Content-Transfer-Encoding: base64\r\n|(--(a|b)(--)?|[a-z\u{fc}=]{0,5}| )?(\r\n|\n)){0,20}",
    ) {
        let draft = Draft::new(Bytes::from(format!("Content-Type: multipart/mixed; boundary=a\r\n{text}")).into()).unwrap();
        let structure = draft.parts().unwrap();
        prop_assert_eq!(structure.parts[0].len, draft.body_size());
        for part in &structure.parts {
            prop_assert!(part.offset + part.len <= draft.body_size());
            let _ = draft.read_part(part);
        }
    }
}
