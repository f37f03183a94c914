// SPDX-License-Identifier: Apache-2.0
// Stays in a pod and connects when told: a line {id, host, port, count, timeoutMs} gives a line {id, connections}.
import {createConnection} from 'node:net'
import {createInterface} from 'node:readline'

function connect({host, port, timeoutMs}) {
  return new Promise((resolve) => {
    const socket = createConnection({host, port})
    let text = ''
    let peer = {}
    const finish = (result) => {
      socket.destroy()
      resolve({...peer, ...result})
    }
    socket.setTimeout(timeoutMs, () => finish({error: 'no answer in time'}))
    socket.on('error', (error) => finish({error: error.message}))
    socket.on('connect', () => {
      peer = {peer: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''), peerPort: socket.remotePort}
      socket.write('GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n')
    })
    socket.setEncoding('utf8')
    socket.on('data', (chunk) => {
      text += chunk
      const line = /^(\{.*\})$/m.exec(text.slice(0, text.lastIndexOf('\n') + 1))?.[1]
      if (line !== undefined) finish({pod: JSON.parse(line).pod})
    })
    socket.on('end', () => finish({error: 'closed before the answer was complete'}))
  })
}

for await (const line of createInterface({input: process.stdin})) {
  const order = JSON.parse(line)
  const connections = []
  for (let turn = 0; turn < order.count; turn += 1) connections.push(await connect(order))
  process.stdout.write(`${JSON.stringify({id: order.id, connections})}\n`)
}
