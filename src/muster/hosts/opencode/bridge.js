// Runs inside OpenCode: offers the hub's tools to its models. One file, no imports, because neither node_modules nor the
// network can be counted on there. In a host server of Muster's (`server` in its options) it serves the agents placed
// there; in the person's own OpenCode it offers the door, and serves whoever went through it. It holds no state but
// what never changes: what it does is decided by the hub's rows and by what stands in the session.

const HOOK_MS = 200
const HELLO_MS = 2000
const RETRY_MS = 500
// What must not go wrong for want of a moment: a hub that is away refuses at once, a busy one is given time.
const BUSY_MS = 5000
// Without a hub nobody minds an agent's ceilings: so long it works on, so long its tool calls are then held.
const GRACE_MS = 60_000
const HELD_MS = 600_000
// A session that may not go on is aborted by the hub at once; this is for the case that the hub died just then.
const STOPPED_MS = 60_000
// In the person's own OpenCode: how long a hub that was there may take to come back, and one that starts to answer.
const RETURN_MS = 10_000
const START_MS = 30_000
const NOTICES_MS = 40_000
const AWAY_MS = 2000
const LOOK_MS = 1000
const MESSAGES_LOOKED_AT = 100
const SUB_AGENT = "sub-agent"
// What an agent's shell must not see: with the password it could speak as any other agent of this server.
const BLANK = [
  "OPENCODE_SERVER_PASSWORD",
  "OPENCODE_SERVER_USERNAME",
  "OPENCODE_DB",
  "MUSTER_TOKEN",
  "MUSTER_AGENT_TOKEN",
  "MUSTER_AGENT_ID",
  "MUSTER_RUN",
]
// This process, as the hub knows it: a lead's notices go to the process that the lead is open in.
const BRIDGE = crypto.randomUUID()

// `refused`: nothing of the request can have reached a hub.
class HubAway extends Error {
  constructor(message, refused = false) {
    super(message)
    this.refused = refused
  }
}

const lines = new Map() // by session; what an agent's says never changes
const parents = new Map() // of sessions, which never change
let awaySince = 0 // when the hub was first found away; 0 while it answers
let starting
let watching = false
let wanted = false

const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true })
  })

// ── the hub ──────────────────────────────────────────────────────────────────────────────────────

// The files are read for each call: a hub that was started anew has another port.
async function whereabouts(options) {
  const hub = await Bun.file(options.hub_file).json()
  if (!hub.url) throw new Error("it is asleep")
  return { url: hub.url, token: options.token_file ? (await Bun.file(options.token_file).text()).trim() : hub.token }
}

async function send(options, path, body, signal) {
  const hub = await whereabouts(options).catch((error) => {
    throw new HubAway(error.message, true)
  })
  try {
    return await fetch(hub.url + path, {
      method: body ? "POST" : "GET",
      headers: { authorization: `Bearer ${hub.token}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
      signal,
      timeout: false,
    })
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error
    throw new HubAway(String(error?.message ?? error), error?.code === "ConnectionRefused")
  }
}

// With a body it changes something; without one it only asks, and keeps no hub awake.
async function post(options, path, body, signal) {
  try {
    const answer = await send(options, path, body, signal)
    const told = await answer.json().catch(() => undefined)
    if (answer.status === 503) throw new HubAway(told?.error?.message ?? "it is not ready")
    awaySince = 0
    if (answer.ok) return told
    throw new Error([told?.error?.message ?? `the hub answered ${answer.status}`, told?.error?.next].filter(Boolean).join(" "))
  } catch (error) {
    if (error instanceof HubAway) awaySince ||= Date.now()
    throw error
  }
}

const within = (ms, options, path, body) => post(options, path, body, AbortSignal.timeout(ms)).catch(() => undefined)

const named = (path, name) => path.slice(0, path.lastIndexOf("/") + 1) + name

// ── what both kinds of OpenCode have ─────────────────────────────────────────────────────────────

const request = (definition, args, ctx) => ({
  tool: definition.name,
  arguments: args,
  session: ctx.sessionID,
  message: ctx.messageID,
  call: ctx.callID,
  agent: ctx.agent,
  directory: ctx.directory,
  bridge: BRIDGE,
  request_id: [ctx.sessionID, ctx.messageID, ctx.callID].join(":"),
})

const tool = (definition, ask) => ({
  description: definition.description,
  args: definition.parameters?.properties ?? {},
  async execute(args, ctx) {
    const told = await ask(args, ctx)
    if (told.error) throw new Error(told.output)
    return { title: told.title ?? definition.name, output: told.output, metadata: told.tells ? { muster_tells: told.tells } : {} }
  },
})

const rules = (permission) => (typeof permission === "string" ? { "*": permission } : (permission ?? {}))

// Hidden from every session but those that a rule of their own lets in: returns which. What the person's rules say of a
// tool stands, and an agent whose own rules begin with a `*` would see it again, so it is told too.
function hide(config, names) {
  const without = (own) => ({ ...own, ...Object.fromEntries(names.filter((name) => !(name in own)).map((name) => [name, "deny"])) })
  const own = rules(config.permission)
  config.permission = without(own)
  for (const agent of Object.values(config.agent ?? {}))
    if (agent && "*" in rules(agent.permission)) agent.permission = without(rules(agent.permission))
  return names.filter((name) => !(name in own))
}

const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value)

// Personas under names that nobody defined or switched off. Of those that are not `primary` OpenCode tells the model on
// every call, and of those that are not hidden the person in a list: these cost nothing until they are asked for.
function enlist(config, personas) {
  if (!isRecord(personas)) return
  config.agent ??= {}
  for (const [name, definition] of Object.entries(personas))
    if (isRecord(definition) && !(name in config.agent)) config.agent[name] = { ...definition, mode: "primary", hidden: true }
}

// OpenCode takes every argument of a plugin's tool for required.
function describe(definition, output) {
  if (!definition) return
  const required = definition.parameters?.required ?? []
  if (output.parameters && "required" in output.parameters) output.parameters.required = required
  output.jsonSchema = { type: "object", additionalProperties: false, ...definition.parameters, required }
}

const query = (path, asked) => `${path}?${new URLSearchParams(asked)}`

const standing = (options, session, directory = "") =>
  session ? within(HOOK_MS, options, query("/bridge/standing", { session, directory, bridge: BRIDGE })) : undefined

// ── in a host server ─────────────────────────────────────────────────────────────────────────────

// Tools are declared once per directory. Without a hub at that moment the last list serves, kept beside the token.
async function hello(options, directory) {
  const kept = Bun.file(options.token_file + ".tools.json")
  const told = await within(HELLO_MS, options, "/bridge/hello", { server: options.server, directory })
  if (Array.isArray(told?.tools)) {
    await Bun.write(kept, JSON.stringify(told.tools)).catch(() => undefined)
    return told.tools
  }
  return kept.json().catch(() => [])
}

// Who a session's agent is: said on every model call, asked once, and there without a hub too.
async function memberLine(options, session) {
  const line = lines.get(session) ?? (await standing(options, session))?.line
  if (line) lines.set(session, line)
  return line
}

// The session that a sub-agent works for, null where it is none: asked once.
async function parentOf(client, session) {
  if (!parents.has(session)) {
    const told = (await client.session.get({ path: { id: session } }).catch(() => undefined))?.data
    if (!told) return null
    parents.set(session, told.parentID ?? null)
  }
  return parents.get(session)
}

// The session that a sub-agent works for in the end; its own where it is none.
async function root(client, session) {
  for (let depth = 0; depth < 8; depth++) {
    const parent = await parentOf(client, session)
    if (!parent) break
    session = parent
  }
  return session
}

async function giveUp(client, session) {
  await client.session.abort({ path: { id: await root(client, session) } }).catch(() => undefined)
  throw new Error("Muster's hub has been away for too long, so this turn ends. Nothing is lost: you are called again when it is back.")
}

// No hub, no ceilings: after a minute each tool call waits until one is back.
async function hold(options, client, session) {
  if (!awaySince || Date.now() - awaySince < (options.grace_ms ?? GRACE_MS)) return
  const until = Date.now() + (options.held_ms ?? HELD_MS)
  while (awaySince) {
    await standing(options, session)
    if (!awaySince) return
    if (Date.now() > until) await giveUp(client, session)
    await pause(RETRY_MS)
  }
}

async function memberCall(options, client, definition, args, ctx) {
  const until = Date.now() + (options.held_ms ?? HELD_MS)
  while (true) {
    try {
      return await post(options, "/bridge/call", request(definition, args, ctx), ctx.abort)
    } catch (error) {
      if (ctx.abort?.aborted || !(error instanceof HubAway)) throw error
      if (Date.now() > until) await giveUp(client, ctx.sessionID)
    }
    await pause(RETRY_MS, ctx.abort)
  }
}

async function inHostServer(options, client, directory) {
  const definitions = new Map((await hello(options, directory)).map((definition) => [definition.name, definition]))
  const ask = (definition) => (args, ctx) => memberCall(options, client, definition, args, ctx)
  return {
    tool: Object.fromEntries([...definitions].map(([name, definition]) => [name, tool(definition, ask(definition))])),
    config: async (config) => {
      enlist(config, await Bun.file(named(options.hub_file, "roster.json")).json().catch(() => undefined))
      hide(config, [...definitions.keys()])
    },
    "tool.definition": async ({ toolID }, output) => describe(definitions.get(toolID), output),
    "tool.execute.before": ({ sessionID }) => hold(options, client, sessionID),
    "experimental.chat.system.transform": async ({ sessionID }, output) => {
      const line = await memberLine(options, sessionID)
      if (line) output.system.push(line)
    },
    "experimental.session.compacting": async ({ sessionID }, output) => {
      const told = await standing(options, sessionID)
      if (told?.keep) output.context.push(told.keep)
    },
    // Before each model request: at a ceiling no further one is made. Without a hub's answer the work goes on.
    "chat.params": async ({ sessionID }) => {
      const told = await within(BUSY_MS, options, "/bridge/step", { session: await root(client, sessionID) })
      if (told?.go !== false) return
      await pause(STOPPED_MS)
      throw new Error("Muster holds this session.")
    },
    "shell.env": async ({ sessionID }, output) => {
      for (const name of BLANK) output.env[name] = ""
      output.env.OPENCODE_CONFIG_CONTENT = options.config_content ?? ""
      if (!sessionID) return
      const session = await root(client, sessionID)
      const whose = session === sessionID ? { session } : { session, kind: SUB_AGENT }
      const told = await within(BUSY_MS, options, "/bridge/env", whose)
      for (const [name, value] of Object.entries(told?.env ?? {})) if (typeof value === "string") output.env[name] = value
    },
  }
}

// ── in the person's own OpenCode ─────────────────────────────────────────────────────────────────

// As a person would type it. A hub that somebody else starts meanwhile is as good.
async function up(options) {
  const env = { ...process.env, MUSTER_HOME: named(options.hub_file, "").slice(0, -1) }
  const child = Bun.spawn([...options.command, "up"], { env, stdin: "ignore", stdout: "ignore", stderr: "pipe" })
  const ended = await Promise.race([child.exited, pause(START_MS).then(() => undefined)])
  if (ended === 0 || ended === 4) return
  throw new Error(ended === undefined ? "It took too long." : (await new Response(child.stderr).text()).trim().slice(-600))
}

// One start at a time, however many calls want it.
async function start(options) {
  starting ??= up(options).finally(() => (starting = undefined))
  await starting.catch((error) => {
    throw new Error(`Muster's hub did not start. ${error.message} Ask the user to run \`muster doctor\` in a shell.`)
  })
}

// A hub that is not there is started; one that goes away under a call was ended by somebody, so it is only waited for.
async function leadCall(options, path, body, signal) {
  for (let first = true, lost = 0; ; first = false) {
    try {
      return await post(options, path, body, signal)
    } catch (error) {
      if (signal?.aborted || !(error instanceof HubAway)) throw error
      if (first && error.refused && options.command?.length) await start(options)
      lost ||= Date.now()
      if (Date.now() - lost > RETURN_MS) throw new Error(`Muster's hub does not answer (${error.message}). Ask the user to run \`muster up\` in a shell, then repeat the call.`)
    }
    await pause(RETRY_MS, signal)
  }
}

// A sub-agent leads nothing: its conversation ends with its answer, so nobody could be told.
async function requireLead(client, ctx) {
  const session = (await client.session.get({ path: { id: ctx.sessionID }, query: { directory: ctx.directory } })).data
  if (session?.parentID) throw new Error("Only the main conversation may lead agents. Say in your answer what should be spawned.")
  return session
}

// From its next turn on the session sees these tools.
async function admit(client, session, directory, names) {
  const at = { path: { id: session }, query: { directory } }
  const had = (await client.session.get(at)).data?.permission ?? []
  const missing = names.filter((name) => !had.some((rule) => rule.permission === name && rule.action === "allow"))
  if (!missing.length) return
  await client.session.update({ ...at, body: { permission: missing.map((name) => ({ permission: name, pattern: "*", action: "allow" })) } })
}

// Whether a prompt would say what the session has already: from a tool's answer, or because it went on by itself.
function isKnown(notice, messages) {
  if (notice.kind !== "door") {
    const since = Date.parse(notice.created_at)
    const tells = (part) => part.type === "tool" && part.state.metadata?.muster_tells === notice.fleet && part.state.time?.end >= since
    return messages.some(({ parts }) => parts.some(tells))
  }
  const asked = messages.findIndex(({ info }) => info.id === notice.after)
  const later = messages.slice(asked + 1)
  return asked < 0 || later.some(({ info }) => info.role === "user") || messages.at(-1).info.error !== undefined
}

// The agent and model that the conversation has: a plan-mode session stays in plan mode.
function ownManner(messages) {
  const asked = messages.findLast(({ info }) => info.role === "user")?.info
  const { agent, model, variant } = asked ?? { ...messages.at(-1).info, model: messages.at(-1).info }
  return { agent, model: { providerID: model.providerID, modelID: model.modelID }, variant: model.variant ?? variant }
}

// One look at one notice: told means that it was read back. What cannot be done now is done at the next look. True: the
// session has been prompted.
async function tell(options, client, notice, names) {
  const place = { directory: notice.directory }
  const at = { path: { id: notice.session }, query: place }
  const end = (ending) => post(options, "/bridge/told", { notice: notice.notice, ending }, AbortSignal.timeout(HELLO_MS))
  const now = (await client.session.status({ query: place })).data
  if (!now || (now[notice.session]?.type ?? "idle") !== "idle") return
  const read = await client.session.messages({ ...at, query: { ...place, limit: MESSAGES_LOOKED_AT } })
  if (read.response?.status === 404) return end("lost")
  const messages = read.data
  const id = `msg_${notice.notice}`
  if (!messages?.length) return
  if (messages.some(({ info }) => info.id === id)) return end("told")
  if (notice.kind === "door") await admit(client, notice.session, notice.directory, names)
  if (isKnown(notice, messages)) return end("known")
  const parts = [{ id: `prt_${notice.notice}`, type: "text", text: notice.text }]
  await client.session.promptAsync({ ...at, body: { messageID: id, ...ownManner(messages), parts } })
  return true
}

// Asks the hub for notices while some may come, and not a moment longer: an OpenCode that leads nothing is silent.
async function watch(options, client, names) {
  wanted = true
  if (watching) return
  watching = true
  try {
    for (let told; wanted || told?.more; ) {
      wanted = false
      told = await within(NOTICES_MS, options, query("/bridge/notices", { bridge: BRIDGE }))
      if (!told) wanted = true
      const prompted = new Set()
      for (const notice of told?.notices ?? []) {
        if (prompted.has(notice.session)) continue
        if ((await tell(options, client, notice, names).catch(() => undefined)) === true) prompted.add(notice.session)
      }
      if (!told || told.notices.length) await pause(told ? LOOK_MS : AWAY_MS)
    }
  } finally {
    watching = false
  }
}

async function inOwnOpenCode(options, client, directory) {
  const offer = await Bun.file(named(options.hub_file, "offer.json")).json().catch(() => undefined)
  if (!Array.isArray(offer?.tools)) return {}
  const definitions = new Map([offer.door, ...offer.tools].map((definition) => [definition.name, definition]))
  const names = offer.tools.map(({ name }) => name).filter((name) => !offer.always?.includes(name))
  const hidden = []
  const look = () => void watch(options, client, hidden)
  const call = (definition) => async (args, ctx) => {
    await requireLead(client, ctx)
    return leadCall(options, "/bridge/call", request(definition, args, ctx), ctx.abort).finally(look)
  }
  const knock = async (args, ctx) => {
    await requireLead(client, ctx)
    const told = await leadCall(options, "/bridge/knock", { ...request(offer.door, {}, ctx), kind: String(args.kind) }, ctx.abort)
    if (!told.tools.every((name) => definitions.has(name))) throw new Error("Muster was changed since this OpenCode started. Ask the user to start OpenCode again.")
    await admit(client, ctx.sessionID, ctx.directory, hidden)
    look()
    return { title: "Muster", output: "Your next turn begins by itself and has the tools. End this one now, in a few words." }
  }
  return {
    tool: {
      [offer.door.name]: tool(offer.door, knock),
      ...Object.fromEntries(offer.tools.map((definition) => [definition.name, tool(definition, call(definition))])),
    },
    config: async (config) => void hidden.push(...hide(config, names)),
    "tool.definition": async ({ toolID }, output) => describe(definitions.get(toolID), output),
    "experimental.chat.system.transform": async ({ sessionID }, output) => {
      const told = await standing(options, sessionID, directory)
      if (told?.leads) look()
      if (told?.line) output.system.push(told.line)
    },
    "experimental.session.compacting": async ({ sessionID }, output) => {
      const told = await standing(options, sessionID, directory)
      if (told?.keep) output.context.push(told.keep)
    },
  }
}

export const MusterBridge = async ({ client, directory }, options = {}) => {
  if (!options.hub_file) return {}
  // One that the person installed does nothing inside a host server, whose own bridge serves its agents as themselves.
  if ((process.env.MUSTER_SERVER ?? "") !== (options.server ?? "")) return {}
  return options.server ? inHostServer(options, client, directory) : inOwnOpenCode(options, client, directory)
}
