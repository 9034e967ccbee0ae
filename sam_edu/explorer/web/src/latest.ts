// Work of which only the latest matters: one at a time, what came in between is dropped.
export class Latest<Given> {
  private running = false;
  private pending: { given: Given } | null = null;
  /** How many were dropped. */
  dropped = 0;

  constructor(private readonly work: (given: Given, isLatest: () => boolean) => Promise<void>) {}

  /** Do it now, or after what is running; replaces what waits. */
  ask(given: Given): void {
    if (this.pending) this.dropped++;
    this.pending = { given };
    if (!this.running) void this.run();
  }

  get busy(): boolean {
    return this.running;
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.pending) {
      const { given } = this.pending;
      this.pending = null;
      await this.work(given, () => this.pending === null);
    }
    this.running = false;
  }
}
