// Hears four stages of each message and changes nothing: what a plugin costs before it does anything.
'use strict'

exports.hook_ehlo = (next, connection, name) => {
    connection.notes.name = name
    next()
}

exports.hook_mail = (next, connection, params) => {
    connection.transaction.notes.sender = params[0].address()
    next()
}

exports.hook_rcpt = (next, connection, params) => {
    connection.transaction.notes.recipient = params[0].address()
    next()
}

exports.hook_data_post = (next, connection) => {
    connection.transaction.notes.subject = connection.transaction.header.get('subject')
    next()
}
