// Takes mail for everywhere and hands all of it to one next hop on the loopback; no DNS is asked.
'use strict'

const dns = require('node:dns')

exports.register = function () {
    dns.setServers(['127.0.0.1:9'])
    this.port = Number(this.config.get('bench.ini').main.port)
}

exports.hook_connect = (next, connection) => {
    connection.relaying = true
    next()
}

exports.hook_rcpt = (next) => next(OK)

exports.hook_get_mx = function (next) {
    next(OK, { priority: 0, exchange: '127.0.0.1', port: this.port })
}
