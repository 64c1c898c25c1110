// The public fake of the Bot API on a port of loopback, until standard input ends.
//   node serve.cjs PORT

const TelegramServer = require('telegram-test-api')

async function main() {
  const server = new TelegramServer({ port: Number(process.argv[2]), host: '127.0.0.1' })
  await server.start()
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
  process.stdout.write('ready\n')
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
