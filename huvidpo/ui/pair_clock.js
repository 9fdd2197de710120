// Two clips on one clock: the left one is the clock, the right one follows it within a fraction of a frame.
// No `loop` attribute: each clip would come round in its own time. At the end both go back, wait for each other, start.

const AHEAD = 0.01; // seconds of drift that are left alone
const NUDGE = 0.05; // share of the speed by which a drift is worked off

class PairClock {
  constructor(left, right, onFrame) {
    Object.assign(this, { left, right, onFrame, frames: 1, fps: 8, wanted: false, turning: false, generation: 0 });
    for (const video of [left, right]) Object.assign(video, { muted: true, playsInline: true, preload: 'auto' });
    left.addEventListener('ended', () => this.turn());
    left.addEventListener('seeked', () => this.tell());
  }

  // Shows another pair, paused on its first frame; false when a later call came in between.
  async load(leftUrl, rightUrl, frames, fps) {
    if (!this.generation) this.watch();
    const generation = ++this.generation;
    this.pause();
    Object.assign(this, { frames, fps, turning: false });
    await Promise.all([[this.left, leftUrl], [this.right, rightUrl]].map(([video, url]) => new Promise((ready, failed) => {
      video.addEventListener('loadeddata', ready, { once: true });
      video.addEventListener('error', () => failed(new Error('unreadable')), { once: true });
      video.src = url;
      video.load();
    })));
    return generation === this.generation;
  }

  get playing() { return this.wanted; }
  get frame() { return Math.min(this.frames - 1, Math.floor(this.left.currentTime * this.fps + 0.01)); }
  get drift() { return Math.min(this.right.currentTime, this.right.duration || 0) - this.left.currentTime; } // seconds

  play() {
    this.wanted = true;
    if (this.left.ended || this.frame >= this.frames - 1) return this.turn();
    return Promise.all([this.left.play(), this.right.play()]).catch(() => { this.pause(); });
  }

  pause() {
    this.wanted = false;
    this.left.pause();
    this.right.pause();
  }

  // The middle of a frame, so that no rounding shows its neighbour.
  async seek(frame) {
    const time = (Math.max(0, Math.min(this.frames - 1, frame)) + 0.5) / this.fps;
    await Promise.all([this.left, this.right].map((video) => new Promise((done) => {
      video.addEventListener('seeked', done, { once: true });
      video.currentTime = time;
    })));
  }

  async turn() {
    if (this.turning) return;
    this.turning = true;
    const generation = this.generation;
    this.tell(true);
    this.left.pause();
    this.right.pause();
    await this.seek(0);
    if (generation !== this.generation) return;
    this.turning = false;
    if (this.wanted) await this.play();
  }

  tell(ended = false) { this.onFrame(ended ? this.frames - 1 : this.frame, ended); }

  watch() {
    const again = () => this.watch();
    this.keep();
    this.tell();
    if (!this.left.isConnected && this.generation) return;
    if (this.left.requestVideoFrameCallback) this.left.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  keep() {
    const drift = this.drift;
    if (!this.wanted || this.turning || this.right.ended || !Number.isFinite(drift)) return;
    if (Math.abs(drift) > 0.9 / this.fps) this.right.currentTime = this.left.currentTime;
    this.right.playbackRate = Math.abs(drift) > AHEAD ? 1 - Math.sign(drift) * NUDGE : 1;
  }
}
