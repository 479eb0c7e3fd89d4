use super::*;

fn shell(script: &str) -> Pipe {
    let arguments = ["-c", script, "script", "{local}", "{sender}"].map(|text| text.parse().unwrap());
    Pipe::new("/bin/sh".into(), arguments.into())
}

async fn run(pipe: &Pipe, message: &str) -> String {
    let mailbox = Mailbox::parse("ann@here.example").unwrap();
    let file = message_file(|mut file| file.write_all(message.as_bytes()).map(|()| 0)).unwrap();
    pipe.run(&ReversePath::Null, &mailbox, QueueId(7), file).await.to_string()
}

#[tokio::test]
async fn exit_codes_decide_and_the_first_line_says_why() {
    for (script, expected) in [
        ("exit 0", "250 2.0.0 sh took it"),
        ("echo; echo '  over quota '; echo more; exit 75", "451 4.3.0 sh: over quota"),
        ("echo 'no such user' >&2; exit 67", "554 5.1.1 sh: no such user"),
        ("exit 77", "554 5.7.1 sh ended with code 77"),
        ("exit 1", "554 5.3.0 sh ended with code 1"),
        ("kill -9 $$", "451 4.3.0 sh was ended by a signal"),
    ] {
        assert_eq!(run(&shell(script), "x").await, expected, "{script}");
    }
}

#[tokio::test]
async fn a_program_sees_the_message_its_arguments_and_little_else() {
    let script = "read line; [ \"$line\" = first ] && [ \"$1\" = ann ] && [ -z \"$2\" ] && [ -z \"$HOME\" ] && \
                  [ \"$RECIPIENT\" = ann@here.example ] && [ \"$PWD\" = / ] || (env; false)";
    assert_eq!(run(&shell(script), "first\nsecond\n").await, "250 2.0.0 sh took it");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_ended_with_all_that_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("child");
    let mut pipe = shell(&format!("sleep 600 & echo $! > {}; wait", path.display()));
    pipe.time = Duration::from_millis(500);
    assert!(run(&pipe, "x").await.starts_with("451 4.3.0 /bin/sh took longer than"));
    let child = std::fs::read_to_string(&path).unwrap();
    let is_gone = || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    };
    for _ in 0..2000 {
        if is_gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the child of the program is still there");
}

#[tokio::test]
async fn a_program_that_writes_much_is_heard_as_far_as_the_limit() {
    let mut pipe = shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 1");
    pipe.output_octets = 100;
    assert_eq!(run(&pipe, "x").await, format!("554 5.3.0 sh: {}", "x".repeat(100)));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_tried_again() {
    let pipe = Pipe::new("/nowhere/program".into(), Vec::new());
    let reply = run(&pipe, "x").await;
    assert!(reply.starts_with("451 4.3.5 program: ") && reply.contains("/nowhere/program"), "{reply}");
}

#[tokio::test]
async fn an_address_never_becomes_an_option() {
    let pipe = Pipe::new("/bin/true".into(), vec!["{local}".parse().unwrap()]);
    let mailbox = Mailbox::parse("-x@here.example").unwrap();
    let file = message_file(|_| Ok(0)).unwrap();
    let reply = pipe.run(&ReversePath::Null, &mailbox, QueueId(7), file).await;
    assert!(reply.to_string().starts_with("553 5.1.3 "), "{reply}");
}
