import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { AllergyIntolerance, Condition, DiagnosticReport, DocumentReference, Encounter, FhirResource, Immunization, MedicationRequest, Observation } from "fhir/r4";
import { clip } from "../../lib/clip.ts";
import { sayDosage } from "../../lib/dosage.ts";
import { joinWords, sayConcept, sayConcepts, sayDate, sayLimit, sayMoment, sayNotes, sayObservation, sayPeriod, sayRange, sayReference } from "../../lib/words.ts";

/** A line of an entry's details. */
export interface Fact {
  readonly name: MessageDescriptor;
  readonly value: string;
}

/** What an entry says beyond its title, date and author, in words; what it does not say is left out. */
export function listFacts(resource: FhirResource): readonly Fact[] {
  return find(resource).map(({ name, value }) => ({ name, value: clip(value) })).filter((fact) => fact.value !== "");
}

function find(resource: FhirResource): readonly Fact[] {
  switch (resource.resourceType) {
    case "Observation": return ofObservation(resource);
    case "MedicationRequest": return ofMedicine(resource);
    case "Condition": return ofCondition(resource);
    case "AllergyIntolerance": return ofAllergy(resource);
    case "Encounter": return ofVisit(resource);
    case "Immunization": return ofVaccine(resource);
    case "DocumentReference": return ofDocument(resource);
    case "DiagnosticReport": return ofReport(resource);
    default: return [];
  }
}

function ofObservation(one: Observation): readonly Fact[] {
  const range = one.referenceRange?.[0];
  return [
    { name: msg`Value`, value: sayObservation(one) },
    { name: msg`Usual`, value: range === undefined ? "" : (range.text ?? sayRange(range)) },
    { name: msg`Said of it`, value: sayConcepts(one.interpretation) },
    { name: msg`Method`, value: sayConcept(one.method) },
    { name: msg`Notes`, value: sayNotes(one.note).join(" · ") },
  ];
}

function ofMedicine(one: MedicationRequest): readonly Fact[] {
  return [
    { name: msg`How`, value: sayDosage(one.dosageInstruction) },
    { name: msg`Sort`, value: sayLimit(one) },
    { name: msg`Why`, value: joinWords([sayConcepts(one.reasonCode), ...(one.reasonReference ?? []).map((reference) => sayReference(reference))]) },
    { name: msg`Holds`, value: sayPeriod(one.dispenseRequest?.validityPeriod) },
    { name: msg`Why stopped`, value: sayConcept(one.statusReason) },
    { name: msg`Changed by`, value: one.recorder?.display ?? "" },
    { name: msg`Notes`, value: sayNotes(one.note).join(" · ") },
  ];
}

function ofCondition(one: Condition): readonly Fact[] {
  return [
    { name: msg`Since`, value: sayDate(one.onsetDateTime) || sayPeriod(one.onsetPeriod) || (one.onsetString ?? "") },
    { name: msg`Over`, value: sayDate(one.abatementDateTime) || (one.abatementString ?? "") },
    { name: msg`Severity`, value: sayConcept(one.severity) },
    { name: msg`Where in the body`, value: sayConcepts(one.bodySite) },
    { name: msg`Sort`, value: sayConcepts(one.category) },
    { name: msg`Notes`, value: sayNotes(one.note).join(" · ") },
  ];
}

function ofAllergy(one: AllergyIntolerance): readonly Fact[] {
  return [
    { name: msg`Reaction`, value: joinWords((one.reaction ?? []).map((reaction) => joinWords([sayConcepts(reaction.manifestation), reaction.severity ?? ""], ", ")), "; ") },
    { name: msg`Risk`, value: one.criticality ?? "" },
    { name: msg`Sort`, value: joinWords([one.type, ...(one.category ?? [])]) },
    { name: msg`Since`, value: sayDate(one.onsetDateTime) },
    { name: msg`Last time`, value: sayDate(one.lastOccurrence) },
    { name: msg`Notes`, value: sayNotes(one.note).join(" · ") },
  ];
}

function ofVisit(one: Encounter): readonly Fact[] {
  return [
    { name: msg`From, to`, value: joinWords([sayMoment(one.period?.start), sayMoment(one.period?.end)], " – ") },
    { name: msg`Why`, value: joinWords([sayConcepts(one.reasonCode), ...(one.reasonReference ?? []).map((reference) => sayReference(reference))]) },
    { name: msg`With`, value: joinWords((one.participant ?? []).map((who) => sayReference(who.individual))) },
    { name: msg`Where`, value: joinWords([sayReference(one.serviceProvider), ...(one.location ?? []).map((place) => sayReference(place.location))]) },
  ];
}

function ofVaccine(one: Immunization): readonly Fact[] {
  return [
    { name: msg`Lot`, value: one.lotNumber ?? "" },
    { name: msg`Where in the body`, value: sayConcept(one.site) },
    { name: msg`Where`, value: sayReference(one.location) },
    { name: msg`Why not given`, value: sayConcept(one.statusReason) },
    { name: msg`Notes`, value: sayNotes(one.note).join(" · ") },
  ];
}

function ofReport(one: DiagnosticReport): readonly Fact[] {
  return [
    { name: msg`Conclusion`, value: one.conclusion ?? "" },
    { name: msg`Said of it`, value: sayConcepts(one.conclusionCode) },
    { name: msg`Values`, value: joinWords((one.result ?? []).map((reference) => sayReference(reference))) },
  ];
}

function ofDocument(one: DocumentReference): readonly Fact[] {
  return [
    { name: msg`Sort`, value: sayConcepts(one.category) },
    { name: msg`About`, value: clip(one.description ?? "") },
    { name: msg`Kept by`, value: sayReference(one.custodian) },
  ];
}
