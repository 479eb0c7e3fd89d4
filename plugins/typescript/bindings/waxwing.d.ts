// Written by `waxwing plugin bindings` from wit/. Do not edit.

declare module "waxwing:mail/session@0.1.0" {
  export function id(): string;
  export function listener(): string;
  export function peerIp(): string;
  export function peerPort(): number;
  export function peerName(): string | null;
  // forward-confirmed reverse DNS
  export function helo(): string | null;
  export function tlsVersion(): string | null;
  export function tlsCipher(): string | null;
  export function authUser(): string | null;
  export function authMechanism(): string | null;
  // as in AUTH, upper case; none when a proxy said who it is
  // Whether this client may send to any domain, by its user or its address: mail on its way out.
  export function mayRelay(): boolean;
  export function protocol(): string;
  // SMTP, ESMTP or LMTP
  export function serverName(): string;
  // this host, as in its greeting
  export function localIp(): string;
  // where the connection arrived
  export function localPort(): number;
  export function tlsServerName(): string | null;
  // the name that the client asked for (SNI)
  // Of a client whose certificate an authority vouches for: mail addresses and names, or else the common name.
  export function tlsClientNames(): Array<string>;
  export function note(key: string): string | null;
  // shared by the plugins of this session
  export function setNote(key: string, value: string): void;
}

declare module "waxwing:mail/config@0.1.0" {
  export function get(key: string): string | null;
  export function allJson(): string;
}

declare module "waxwing:mail/log@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";
  export function log(level: Level, message: string, fields: Array<[string, string]>): void;
}

declare module "waxwing:mail/types@0.1.0" {
  export type Bytes = Uint8Array;
  export interface Mailbox {
    local: string;
    domain: string;
  }
  export interface Param {
    keyword: string;
    value: string | null;
  }
  // ESMTP MAIL and RCPT parameters
  // The value is raw: what follows the colon and the white space after it, folds kept as they stand, without the
  // line end that closes the field. The server puts a colon and a space before a value that it writes.
  export interface Header {
    name: string;
    value: Bytes;
  }
  export interface EnhancedStatus {
    class: number;
    subject: number;
    detail: number;
  }
  export interface Reply {
    code: number;
    status: EnhancedStatus | null;
    text: string;
  }
  export type Verdict =
    | { tag: "proceed" }
    | { tag: "accept" }
    | { tag: "reject"; val: Reply }
    | { tag: "tempfail"; val: Reply }
    | { tag: "discard"; val: string }
    | { tag: "quarantine"; val: string }
    | { tag: "disconnect"; val: Reply };
  export type Error =
    | { tag: "denied" }
    | { tag: "quota" }
    | { tag: "not-found" }
    | { tag: "timed-out" }
    | { tag: "bad-input"; val: string }
    | { tag: "unavailable"; val: string };
}

declare module "waxwing:mail/lifecycle@0.1.0" {
  export interface Lifecycle {
    init(): void;
  }
}

declare module "waxwing:mail/on-mail@0.1.0" {
  import type { Verdict } from "waxwing:mail/types@0.1.0";
  export type { Verdict };
  import type { Mailbox } from "waxwing:mail/types@0.1.0";
  export type { Mailbox };
  import type { Param } from "waxwing:mail/types@0.1.0";
  export type { Param };
  export interface OnMail {
    mail(sender: Mailbox | null, params: Array<Param>): Verdict;
  }
}
