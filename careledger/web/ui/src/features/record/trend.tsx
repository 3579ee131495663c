import type { ReactElement } from "react";
import { sayDate, sayNumber } from "../../lib/words.ts";
import type { Point, Range } from "./series.ts";

interface Scale {
  readonly low: number;
  readonly high: number;
}

/** The least span of numbers that shows all points and, where it is near, the usual range. */
function scaleOf(points: readonly Point[], range: Range | undefined): Scale {
  const values = points.flatMap((point) => [point.value, ...(point.second === undefined ? [] : [point.second])]);
  const ends = [range?.low, range?.high].filter((one): one is number => one !== undefined);
  const [low, high] = [Math.min(...values, ...ends), Math.max(...values, ...ends)];
  const margin = (high - low || Math.abs(high) || 1) * 0.08;
  return { low: low - margin, high: high + margin };
}

function yOf(value: number, { low, high }: Scale, height: number): number {
  return height - ((value - low) / (high - low)) * height;
}

function draw(points: readonly Point[], pick: (point: Point) => number | undefined, scale: Scale, width: number, height: number): readonly (readonly [number, number])[] {
  const [first, last] = [points[0]?.timeMs ?? 0, points.at(-1)?.timeMs ?? 1];
  return points.flatMap((point) => {
    const value = pick(point);
    const x = last === first ? width / 2 : ((point.timeMs - first) / (last - first)) * width;
    return value === undefined ? [] : [[x, yOf(value, scale, height)] as const];
  });
}

const lineOf = (places: readonly (readonly [number, number])[]): string => places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

/** A small curve beside a value, which says it in words: hidden from screen readers. */
export function Spark({ points }: { readonly points: readonly Point[] }): ReactElement | null {
  if (points.length < 2) return null;
  const places = draw(points, (point) => point.value, scaleOf(points, undefined), 92, 26);
  const [x, y] = places.at(-1) ?? [0, 0];
  return (
    <svg className="spark" viewBox="-4 -3 100 32" width="100" height="32" aria-hidden="true" focusable="false">
      <polyline points={lineOf(places)} />
      <circle cx={x} cy={y} r="3" />
    </svg>
  );
}

const WIDTH = 560;
const HEIGHT = 150;

/** The curve of a test with its usual range. What it shows stands in the table below it as well: `label` says so in a sentence. */
export function Trend({ points, range, label }: { readonly points: readonly Point[]; readonly range: Range | undefined; readonly label: string }): ReactElement | null {
  if (points.length < 2) return null;
  const scale = scaleOf(points, range);
  const main = draw(points, (point) => point.value, scale, WIDTH, HEIGHT);
  const second = draw(points, (point) => point.second, scale, WIDTH, HEIGHT);
  const top = range?.high === undefined ? 0 : yOf(range.high, scale, HEIGHT);
  const bottom = range?.low === undefined ? HEIGHT : yOf(range.low, scale, HEIGHT);
  const date = (point: Point | undefined): string => sayDate(point === undefined ? "" : new Date(point.timeMs).toISOString(), { month: "short", year: "numeric" });
  return (
    <svg className="trend" viewBox={`-46 -12 ${WIDTH + 60} ${HEIGHT + 44}`} role="img" aria-label={label}>
      {range === undefined ? null : <rect className="band" x="0" y={top} width={WIDTH} height={Math.max(0, bottom - top)} />}
      <line className="axis" x1="0" y1={HEIGHT} x2={WIDTH} y2={HEIGHT} />
      <text x="-8" y="8" textAnchor="end">{sayNumber(roundTo(scale.high))}</text>
      <text x="-8" y={HEIGHT} textAnchor="end">{sayNumber(roundTo(scale.low))}</text>
      <text x="0" y={HEIGHT + 24}>{date(points[0])}</text>
      <text x={WIDTH} y={HEIGHT + 24} textAnchor="end">{date(points.at(-1))}</text>
      <polyline points={lineOf(main)} />
      {main.map(([x, y]) => <circle key={x} cx={x} cy={y} r="4" />)}
      {second.length === 0 ? null : <polyline className="second" points={lineOf(second)} />}
      {second.map(([x, y]) => <circle key={x} className="second" cx={x} cy={y} r="4" />)}
    </svg>
  );
}

/** Ends of an axis need no more than three digits. */
function roundTo(value: number): number {
  return Number(value.toPrecision(3));
}

/** A value on its usual range: the range in the middle, a mark where the value lies. What it says stands beside it in words. */
export function RangeMark({ value, range }: { readonly value: number; readonly range: Range }): ReactElement {
  const low = range.low ?? Math.min(0, value);
  const high = range.high ?? Math.max(value, low + 1) * 1.5;
  const span = high - low || 1;
  const place = Math.min(1.5, Math.max(-0.5, (value - low) / span));
  return (
    <svg className="range" viewBox="-7 0 174 18" width="174" height="18" aria-hidden="true" focusable="false">
      <rect className="outside" x="0" y="5" width="160" height="6" rx="3" />
      <rect className="inside-range" x={range.low === undefined ? 0 : 40} y="5" width={range.low === undefined ? 120 : range.high === undefined ? 120 : 80} height="6" rx="3" />
      <path d={`M${40 + place * 80} 16l-5-8a5 5 0 1 1 10 0z`} />
    </svg>
  );
}
