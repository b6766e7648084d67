import { OllamaClient, type OllamaOptions, OllamaService } from '../src/index.ts';

/** Starts an Ollama, e.g. `{ root: '/srv/ai', models: ['llama3.2:1b'] }`, and returns its answer to a question. */
export async function ask(options: OllamaOptions, model: string, question: string): Promise<string> {
  const server = new OllamaService(options);
  await server.start(); // resolves when it answers
  const client = new OllamaClient(server.endpoint);
  try {
    for await (const { status, completed, total } of client.pull(model)) console.log(status, completed, total);
    const messages = [{ role: 'user', content: question }];
    let answer = '';
    for await (const { message } of client.chat({ model, messages })) answer += message.content;
    return answer;
  } finally {
    await client.close();
    await server.stop();
  }
}
