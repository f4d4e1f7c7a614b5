// What the page asks its server, whose address has the secret in its path: all of it is relative.

export class Refused extends Error {}

async function checked(answer) {
  if (!answer.ok) throw new Refused(await words(answer), { cause: answer.status });
  return answer;
}

// Why the server refuses: plain text of ours, or JSON of its library.
async function words(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).detail || text;
  } catch {
    return text || `the server says ${answer.status}`;
  }
}

export async function get(path) {
  return (await checked(await fetch(path))).json();
}

export async function bytes(path) {
  return (await checked(await fetch(path))).arrayBuffer();
}

export async function begin() {
  return (await (await checked(await fetch("sessions", { method: "POST" }))).json()).session;
}

// Works while a page is closed, which takes no answer.
export function forget(session) {
  navigator.sendBeacon(`sessions/${session}/forget`);
}

// Send a file, and hand on what is said of each radiograph in it as soon as it comes.
export async function send(session, file, name, each) {
  const query = new URLSearchParams({ name });
  const answer = await checked(
    await fetch(`sessions/${session}/files?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    }),
  );
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) each(JSON.parse(line));
  }
}
