// Runs inside OpenCode: offers the hub's tools to its models and dresses its shells. One file, no imports, because
// neither node_modules nor the network can be counted on there. It holds no state but the hub's last list of tools.

const HOOK_MS = 200
const HELLO_MS = 2000
const HUB_AWAY_MS = 60_000
const RETRY_MS = 500
const STEP_MS = 1000
// A session that may not go on is aborted by the hub at once; this is for the case that the hub died just then.
const HELD_MS = 60_000
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

class HubAway extends Error {}

const sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true })
  })

// Both files are read for each call: a hub that was started anew has another port.
async function post(options, path, body, signal) {
  let answer
  try {
    const { url } = await Bun.file(options.hub_file).json()
    const token = (await Bun.file(options.token_file).text()).trim()
    answer = await fetch(url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
      timeout: false,
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new HubAway(String(error?.message ?? error))
  }
  const told = await answer.json().catch(() => undefined)
  if (answer.status === 503) throw new HubAway(told?.error?.message ?? "it is not ready")
  if (!answer.ok) throw new Error([told?.error?.message ?? `the hub answered ${answer.status}`, told?.error?.next].filter(Boolean).join(" "))
  return told
}

const within = (ms, options, path, body) => post(options, path, body, AbortSignal.timeout(ms)).catch(() => undefined)

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

async function call(options, definition, args, ctx) {
  const body = {
    tool: definition.name,
    arguments: args,
    session: ctx.sessionID,
    message: ctx.messageID,
    call: ctx.callID,
    agent: ctx.agent,
    directory: ctx.directory,
    request_id: [ctx.sessionID, ctx.messageID, ctx.callID].join(":"),
  }
  const until = Date.now() + HUB_AWAY_MS
  while (true) {
    try {
      return await post(options, "/bridge/call", body, ctx.abort)
    } catch (error) {
      if (!(error instanceof HubAway)) throw error
      if (Date.now() > until) throw new Error(`Muster's hub did not answer for ${HUB_AWAY_MS / 1000} s (${error.message}). Nothing is lost: say what you have so far and end your turn; you are called again when the hub is back.`)
    }
    await sleep(RETRY_MS, ctx.abort)
  }
}

const tool = (options, definition) => ({
  description: definition.description,
  args: definition.parameters?.properties ?? {},
  async execute(args, ctx) {
    const told = await call(options, definition, args, ctx)
    if (told.error) throw new Error(told.output)
    return { title: told.title ?? definition.name, output: told.output, metadata: {} }
  },
})

// The session that a sub-agent works for in the end; its own where it is none.
async function root(client, session) {
  for (let depth = 0; depth < 8; depth++) {
    const parent = (await client.session.get({ path: { id: session } }).catch(() => undefined))?.data?.parentID
    if (!parent) break
    session = parent
  }
  return session
}

export const MusterBridge = async ({ directory, client }, options = {}) => {
  if (!options.server || !options.hub_file || !options.token_file) return {}
  const definitions = await hello(options, directory)
  const named = new Map(definitions.map((definition) => [definition.name, definition]))
  return {
    tool: Object.fromEntries(definitions.map((definition) => [definition.name, tool(options, definition)])),
    // Hidden from every session but those that a rule of their own lets in.
    config: async (config) => {
      const own = typeof config.permission === "string" ? { "*": config.permission } : (config.permission ?? {})
      config.permission = { ...own, ...Object.fromEntries([...named.keys()].map((name) => [name, "deny"])) }
    },
    // OpenCode takes every argument of a plugin's tool for required.
    "tool.definition": async ({ toolID }, output) => {
      const definition = named.get(toolID)
      if (!definition) return
      const required = definition.parameters?.required ?? []
      if (output.parameters && "required" in output.parameters) output.parameters.required = required
      output.jsonSchema = { type: "object", additionalProperties: false, ...definition.parameters, required }
    },
    // Before each model request: at a ceiling no further one is made. Without a hub's answer the work goes on.
    "chat.params": async ({ sessionID }) => {
      const told = await within(STEP_MS, options, "/bridge/step", { session: await root(client, sessionID) })
      if (told?.go !== false) return
      await sleep(HELD_MS)
      throw new Error("Muster holds this session.")
    },
    "shell.env": async ({ sessionID }, output) => {
      for (const name of BLANK) output.env[name] = ""
      output.env.OPENCODE_CONFIG_CONTENT = options.config_content ?? ""
      if (!sessionID) return
      const told = await within(HOOK_MS, options, "/bridge/env", { session: sessionID })
      for (const [name, value] of Object.entries(told?.env ?? {})) if (typeof value === "string") output.env[name] = value
    },
  }
}
